"""Wanted to real, and the report back. Level-triggered: an event only wakes, the state tells."""
