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
    kept = {parent: _believed(folds, parent) for parent in (parents(ref) if homes else [])}
    unsure = [parent for parent, found in kept.items() if found is None]
    asked = unsure if believing else [ref, *unsure]
    answers = await asyncio.gather(*map(folds.fresh, asked)) if asked else []
    found = dict(zip(asked, answers, strict=True))
    kept |= {parent: living(found[parent]) for parent in unsure}
    latest = folds.known(ref) if believing else found[ref]
    return Situation(ref=ref, kind=KINDS[ref.kind], latest=latest, parents=kept)


def _believed(folds: Folds, parent: Ref) -> Resource | None:
    """A parent that lives as far as this process knows is believed: that it was going all the while
    is found out after the append (`handle`), and until then costs nothing."""
    known = folds.known(parent)
    return None if known is None or known.going else known


def living(resource: Resource | None) -> Resource | None:
    return None if resource is None or resource.gone else resource
