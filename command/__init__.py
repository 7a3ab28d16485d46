"""The write side: a request becomes a command, a command becomes at most one event."""
