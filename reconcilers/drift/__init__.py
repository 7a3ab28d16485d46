"""Comparison of cloud and log: settled resources that differ, and what the cloud holds besides."""
