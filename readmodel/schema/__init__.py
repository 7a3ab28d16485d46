"""The groups of tables, their checkpoints, and which read models are active."""
