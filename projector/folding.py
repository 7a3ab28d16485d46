"""Events applied to the resources before them: the input of every projection. Pure."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.document import document
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.shape import Ref, Resource

_encode = msgspec.json.Encoder().encode


class ProjectedEvent(msgspec.Struct, frozen=True):
    """An event, and its resource right before it and right after it."""

    event: RecordedEvent
    before: Resource | None
    """None for the first event of a name; what is gone is shown until its name is used again."""
    resource: Resource
    region: str
    """The region of this control plane."""

    @property
    def document(self) -> str:
        """The resource after the event, as a GET answers it (JSON)."""
        kind = KINDS[self.resource.ref.kind]
        return _encode(document(kind, self.resource, region=self.region)).decode()


class FoldMemo(Protocol):
    """Events that were folded already, for another projector of the same stream."""

    def folded(self, event: RecordedEvent) -> ProjectedEvent | None: ...

    def remember(self, folded: ProjectedEvent) -> None: ...


def fold(
    known: dict[Ref, Resource],
    events: Sequence[RecordedEvent],
    region: str,
    memo: FoldMemo | None = None,
) -> list[ProjectedEvent]:
    """Every event applied to the resource before it; `known` holds the resources before the batch,
    and those after it when this returns.

    Raises:
        AssertionError: an event cannot be applied.
    """
    folded = []
    for event in events:
        each = memo.folded(event) if memo else None
        if each is None:
            before = known.get(event.ref)
            assert _follows(before, event), f"event {event.previous} is not the one before it"
            each = ProjectedEvent(event, before, evolve(before, event), region)
            if memo:
                memo.remember(each)
        known[event.ref] = each.resource
        folded.append(each)
    return folded


def _follows(before: Resource | None, event: RecordedEvent) -> bool:
    """False where the rows show another event than the predecessor: the log has lost one. What was
    closed before anything of it could be read has no rows."""
    if before is None or isinstance(event.event, Closed):
        return True
    return event.previous == before.position
