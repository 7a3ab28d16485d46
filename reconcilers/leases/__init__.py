"""Leases: the work of all reconcilers processes is divided into partitions, and each partition is
held by one process at a time (docs/decisions/047)."""
