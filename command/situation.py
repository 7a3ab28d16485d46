"""All a rule may look at, fetched before it looks."""

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from eventlog.folds import Folds
from kinds import KINDS, parents
from model.kind import Kind
from model.shape import NOWHERE, Position, Ref, Resource


class Situation(msgspec.Struct, frozen=True):
    ref: Ref
    kind: Kind
    latest: Resource | None
    parents: Mapping[Ref, Resource | None] = {}
    inside: Sequence[Ref] = ()
    """What lives in it, where the command needs to know."""

    @property
    def resource(self) -> Resource | None:
        """The living one. What is gone counts as absent, but its name keeps counting versions."""
        return living(self.latest)

    @property
    def position(self) -> Position:
        return self.latest.position if self.latest else NOWHERE


async def look(folds: Folds, ref: Ref, *, homes: bool, believing: bool = False) -> Situation:
    """The resource as fresh as the leader has it; with `homes` its parents too.

    `believing` takes the resource as this process last saw it, absent if it never did: a look that
    costs nothing, and is good enough for an event whose append will be refused if it was wrong.

    Raises:
        Unanswered: the log cannot say how things are.
    """
    above = parents(ref) if homes else []
    latest, *homes_found = await asyncio.gather(
        _known(folds, ref) if believing else folds.fresh(ref),
        *(home(folds, parent) for parent in above),
    )
    return Situation(
        ref=ref,
        kind=KINDS[ref.kind],
        latest=latest,
        parents=dict(zip(above, homes_found, strict=True)),
    )


async def _known(folds: Folds, ref: Ref) -> Resource | None:
    return folds.known(ref)


async def home(folds: Folds, ref: Ref) -> Resource | None:
    """A parent. One that lives, as far as this process knows, is believed: that it was going all
    the while is found out after the append (`handle`), and until then costs nothing."""
    known = folds.known(ref)
    if known is not None and not known.going:
        return known
    return living(await folds.fresh(ref))


def living(resource: Resource | None) -> Resource | None:
    return None if resource is None or resource.gone else resource
