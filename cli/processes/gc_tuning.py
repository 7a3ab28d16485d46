"""When Python looks for garbage: seldom, and never at all that a process has learned.

A full look costs a tenth of a second for each hundred thousand roles and assignments, and nobody is
answered meanwhile."""

import gc

STARTING = (5_000, 1_000_000, 1_000_000)
"""New objects between two looks at the new ones; at the old ones, as good as never."""
READY_OBJECTS = 20_000
"""New objects between two looks: requests leave hardly any cycles."""


def starting() -> None:
    """What is made now is there to stay."""
    gc.set_threshold(*STARTING)


def ready() -> None:
    """What was made up to here stays for ever, and need not be looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(READY_OBJECTS, 10, 10)
