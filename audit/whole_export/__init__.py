"""The export of the whole history: verified event by event, and its heads computed again."""
