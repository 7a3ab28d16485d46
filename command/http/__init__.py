"""The HTTP routes of the write side, and the bodies they read."""
