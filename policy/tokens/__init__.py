"""Authentication: a bearer token becomes a caller."""
