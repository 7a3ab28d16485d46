"""The tables, their checkpoints, and which read model is active."""
