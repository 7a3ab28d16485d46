"""Settings of Python's garbage collector: few collections, and none over data loaded at the start.

A full collection takes 0.1 s for each 100,000 roles and assignments, and blocks every request.
"""

import gc

STARTING = (5_000, 1_000_000, 1_000_000)
"""Thresholds of the three generations: the young one is collected seldom, the older ones almost
never."""
READY_OBJECTS = 20_000
"""Threshold of the young generation: requests leave few reference cycles."""
FILLING = (100_000, 50, 100)
"""Thresholds of a command that handles thousands of events at a time, which reference counts free:
with READY_OBJECTS, a third of its time is spent in collections."""


def starting() -> None:
    """Call it first: objects allocated while a process starts are kept for its lifetime."""
    gc.set_threshold(*STARTING)


def ready() -> None:
    """Call it when the process is ready: exempts all objects allocated so far from collection."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(READY_OBJECTS, 10, 10)


def filling() -> None:
    """Call it before read models are filled: as `ready`, for a command that serves no requests."""
    ready()
    gc.set_threshold(*FILLING)
