"""Rows of the security audit stream."""
