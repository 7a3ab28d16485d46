"""Starts and stops of processes as audit entries."""
