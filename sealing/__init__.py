"""Encryption of secret fields: the keyring, and sealing and opening with it."""
