"""The `secaplane` command: it starts the house, and is imported by nobody in it."""
