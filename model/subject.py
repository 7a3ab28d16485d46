"""Subjects as users name them: subs, groups, and every caller. Pure.

A subject that no caller can have is refused: what names it would seem to have an effect.
"""

from collections.abc import Iterable, Iterator

from secaplane.model.actor import GROUP, RESERVED_SUBS, SYSTEM
from secaplane.model.errors import BrokenRule

EVERY = "*"


def broken_subjects(subs: Iterable[str], pointer: str) -> Iterator[BrokenRule]:
    """Of a list of callers and groups: those that no caller can be. The control plane alone may be
    named: so the tenant of shared images has no caller as its administrator."""
    named = [*subs]
    if named == [SYSTEM.sub]:
        return
    for n, sub in enumerate(named):
        if sub == GROUP:
            yield BrokenRule(f"names no group: write {GROUP}<name>", f"{pointer}/{n}")
        yield from _reserved(sub, f"{pointer}/{n}")


def broken_sub(sub: str, pointer: str) -> Iterator[BrokenRule]:
    """Of the sub of one caller, as its tokens name it."""
    if sub == EVERY:
        yield BrokenRule("names no caller: it takes the sub of one", pointer)
    if sub.startswith(GROUP):
        yield BrokenRule("is a group: name its callers, each by its sub", pointer)
    yield from _reserved(sub, pointer)


def _reserved(sub: str, pointer: str) -> Iterator[BrokenRule]:
    if sub in RESERVED_SUBS:
        yield BrokenRule("is reserved for the control plane: no token has it", pointer)
