"""Desired state to actual state, and the report back. Level-triggered: an event only wakes a
resource; its current state says what to do."""
