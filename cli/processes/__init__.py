"""The long-running processes and their wiring."""
