"""The pure rules of the write side: commands, decisions, references, quotas."""
