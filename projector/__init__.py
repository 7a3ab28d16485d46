"""The read side's writer: follow the log, turn events into rows."""
