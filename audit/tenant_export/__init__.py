"""The export of one tenant: its events, and hashes of all others."""
