"""The read side: rows to answers."""
