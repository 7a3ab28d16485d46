"""All a rule may look at, fetched before it looks."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from secaplane.command.rules.quotas import Standing
from secaplane.eventlog.resource_cache import Folds
from secaplane.kinds import KINDS
from secaplane.model.kind import Kind
from secaplane.model.shape import NOWHERE, Json, Position, Ref, Resource

LOOKS_MAX = 64
"""At once, however much a body refers to."""
SELDOM = ("tenant",)
"""Kinds, beside what is on offer, that change so seldom that the word of a moment ago will do. What
is put into a tenant in the moment in which it goes is taken back by its reconciler, which hears of
both in their order."""

Sees = Callable[[Ref], bool]
"""Whether who commands may get what lies there, as it is addressed."""
Exceeds = Callable[[Ref, Json | None, Json], str]
"""(ref, former spec, wanted spec) -> what that gives away and who commands does not hold; empty
where it gives nothing away."""


class Rights(NamedTuple):
    """What the rules may ask about who commands; the house itself may everything."""

    sees: Sees = lambda ref: True
    exceeds: Exceeds = lambda ref, old, new: ""


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What this site has chosen where the contract leaves a choice."""

    region: str = ""
    deferred: frozenset[str] = frozenset()
    """Switches of links that are deferred here."""
    cascades: frozenset[tuple[str, str]] = frozenset()
    """(kind of a parent, kind of a child) where the parent takes the child with it."""


class Situation(msgspec.Struct, frozen=True):
    ref: Ref
    kind: Kind
    latest: Resource | None
    parents: Mapping[Ref, Resource | None] = {}
    targets: Mapping[Ref, Resource | None] = {}
    """What references may point to; None where it is not there, or not for this caller."""
    zones: Sequence[str] | None = None
    """Of the region; None while nobody has said."""
    inside: Sequence[Ref] = ()
    """What lives in it, where the command needs to know."""
    users: Sequence[Ref] = ()
    """What lives and holds it, or what would go with it."""
    quota: Standing | None = None
    """What the tenant may have and has; None where it has no quota of this kind."""
    site: Site = Site()
    rights: Rights = Rights()

    @property
    def resource(self) -> Resource | None:
        """The living one. What is gone counts as absent, but its name keeps counting versions."""
        return living(self.latest)

    @property
    def position(self) -> Position:
        return self.latest.position if self.latest else NOWHERE

    @property
    def around(self) -> dict[str, Resource]:
        return {ref.kind: found for ref, found in self.parents.items() if found is not None}


async def look(
    folds: Folds, ref: Ref, *, homes: Sequence[Ref] = (), believing: bool = False
) -> Situation:
    """The resource as fresh as the leader has it; `homes`, which must be there for it, too.

    `believing` takes the resource as this process last saw it, absent if it never did: a look that
    costs nothing, and is good enough for an event whose append will be refused if it was wrong.

    Raises:
        Unanswered: the log cannot say how things are.
    """
    kept = {parent: _believed(folds, parent) for parent in homes}
    unsure = [parent for parent, found in kept.items() if found is None]
    asked = unsure if believing else [ref, *unsure]
    answers = await asyncio.gather(*map(folds.fresh, asked)) if asked else []
    found = dict(zip(asked, answers, strict=True))
    kept |= {parent: living(found[parent]) for parent in unsure}
    latest = folds.known(ref) if believing else found[ref]
    return Situation(ref=ref, kind=KINDS[ref.kind], latest=latest, parents=kept)


async def found(folds: Folds, refs: Iterable[Ref]) -> dict[Ref, Resource | None]:
    """What lives at each address; what seldom changes as it was a moment ago.

    Raises:
        Unanswered: the log cannot say.
    """
    here = {ref: folds.remembered(ref) if _seldom(ref) else None for ref in refs}
    wanted = iter([ref for ref, resource in here.items() if resource is None])
    while some := list(islice(wanted, LOOKS_MAX)):
        answers = await asyncio.gather(*(_seen(folds, ref) for ref in some))
        here |= {ref: living(each) for ref, each in zip(some, answers, strict=True)}
    return here


async def _seen(folds: Folds, ref: Ref) -> Resource | None:
    return await (folds.lately(ref) if _seldom(ref) else folds.fresh(ref))


def _seldom(ref: Ref) -> bool:
    return ref.kind in SELDOM or KINDS[ref.kind].offered


def _believed(folds: Folds, parent: Ref) -> Resource | None:
    """A parent that lives as far as this process knows is believed: that it was going all the while
    is found out after the append (`handle`), and until then costs nothing."""
    known = folds.known(parent)
    return None if known is None or known.going else known


def living(resource: Resource | None) -> Resource | None:
    return None if resource is None or resource.gone else resource
