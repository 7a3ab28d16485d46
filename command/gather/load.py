"""All a rule may look at, fetched before it looks."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

from secaplane.command.rules.quotas import QuotaUsage
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds import KINDS
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, Resource

LOOKS_MAX = 64
"""At once, however much a body refers to."""
RARELY_CHANGED = ("tenant",)
"""Kinds, beside what is on offer, that change so seldom that the word of a moment ago will do. What
is put into a tenant in the moment in which it goes is taken back by its reconciler, which hears of
both in their order."""

Sees = Callable[[Ref], bool]
"""Whether who commands may get what lies there, as it is addressed."""
Exceeds = Callable[[Ref, Json | None, Json], str]
"""(ref, former spec, wanted spec) -> what that gives away and who commands does not hold; empty
where it gives nothing away."""


class CallerRights(NamedTuple):
    """What the rules may ask about who commands; the house itself may everything."""

    sees: Sees = lambda ref: True
    exceeds: Exceeds = lambda ref, old, new: ""


class SiteRules(msgspec.Struct, frozen=True, kw_only=True):
    """What this site has chosen where the contract leaves a choice."""

    region: str = ""
    deferred: frozenset[str] = frozenset()
    """Switches of links that are deferred here."""
    cascades: frozenset[tuple[str, str]] = frozenset()
    """(kind of a parent, kind of a child) where the parent takes the child with it."""


class DecisionContext(msgspec.Struct, frozen=True):
    ref: Ref
    kind: Kind
    latest: Resource | None
    parents: Mapping[Ref, Resource | None] = {}
    targets: Mapping[Ref, Resource | None] = {}
    """What references may point to; None where it is not there, or not for this caller."""
    zones: Sequence[str] | None = None
    """Of the region; None while nobody has said."""
    children: Sequence[Ref] = ()
    """What lives in it, where the command needs to know."""
    referrers: Sequence[Ref] = ()
    """What lives and holds it, or what would go with it."""
    quota: QuotaUsage | None = None
    """What the tenant may have and has; None where it has no quota of this kind."""
    site: SiteRules = SiteRules()
    rights: CallerRights = CallerRights()

    @property
    def resource(self) -> Resource | None:
        """The living one. What is gone counts as absent, but its name keeps counting versions."""
        return living(self.latest)

    @property
    def position(self) -> Position:
        return self.latest.position if self.latest else BEGINNING

    @property
    def around(self) -> dict[str, Resource]:
        return {
            ref.kind: load_living
            for ref, load_living in self.parents.items()
            if load_living is not None
        }


async def load(
    cache: ResourceCache, ref: Ref, *, homes: Sequence[Ref] = (), from_cache: bool = False
) -> DecisionContext:
    """The resource as fresh as the leader has it; `homes`, which must be there for it, too.

    `from_cache` takes the resource as this process last saw it, absent if it never did: a look that
    costs nothing, and is good enough for an event whose append will be refused if it was wrong.

    Raises:
        Unanswered: the log cannot say how things are.
    """
    kept = {parent: _believed(cache, parent) for parent in homes}
    unsure = [parent for parent, load_living in kept.items() if load_living is None]
    asked = unsure if from_cache else [ref, *unsure]
    answers = await asyncio.gather(*map(cache.current, asked)) if asked else []
    load_living = dict(zip(asked, answers, strict=True))
    kept |= {parent: living(load_living[parent]) for parent in unsure}
    latest = cache.cached(ref) if from_cache else load_living[ref]
    return DecisionContext(ref=ref, kind=KINDS[ref.kind], latest=latest, parents=kept)


async def load_living(cache: ResourceCache, refs: Iterable[Ref]) -> dict[Ref, Resource | None]:
    """What lives at each address; what seldom changes as it was a moment ago.

    Raises:
        Unanswered: the log cannot say.
    """
    here = {ref: cache.recently_read(ref) if _seldom(ref) else None for ref in refs}
    wanted = iter([ref for ref, resource in here.items() if resource is None])
    while some := list(islice(wanted, LOOKS_MAX)):
        answers = await asyncio.gather(*(_seen(cache, ref) for ref in some))
        here |= {ref: living(each) for ref, each in zip(some, answers, strict=True)}
    return here


async def _seen(cache: ResourceCache, ref: Ref) -> Resource | None:
    return await (cache.recent(ref) if _seldom(ref) else cache.current(ref))


def _seldom(ref: Ref) -> bool:
    return ref.kind in RARELY_CHANGED or KINDS[ref.kind].backing is Backing.CATALOGUE


def _believed(cache: ResourceCache, parent: Ref) -> Resource | None:
    """A parent that lives as far as this process knows is believed: that it was going all the while
    is found out after the append (`handle`), and until then costs nothing."""
    known = cache.cached(parent)
    return None if known is None or known.terminating else known


def living(resource: Resource | None) -> Resource | None:
    return None if resource is None or resource.gone else resource
