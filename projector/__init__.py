"""Projectors: they follow the log and write the rows of the read models."""
