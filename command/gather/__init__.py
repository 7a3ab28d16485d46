"""Fetching of the context that a rule decides on."""
