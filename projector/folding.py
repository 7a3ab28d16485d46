"""Events on top of what is known: what every projection makes its rows of."""

from collections.abc import Sequence

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.document import document
from secaplane.model.events import RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.shape import Ref, Resource

_encode = msgspec.json.Encoder().encode


class ProjectedEvent(msgspec.Struct, frozen=True):
    """An event, its resource right before it and right after it, and the document then."""

    event: RecordedEvent
    before: Resource | None
    """None where there never was one; what is gone is here until its name is used again."""
    resource: Resource
    document: str


def fold(
    known: dict[Ref, Resource], events: Sequence[RecordedEvent], region: str
) -> list[ProjectedEvent]:
    """Every event on top of what is known; `known` holds the last of each afterwards."""
    folded = []
    for event in events:
        before = known.get(event.ref)
        resource = known[event.ref] = evolve(before, event)
        shown = document(KINDS[event.ref.kind], resource, region=region)
        folded.append(ProjectedEvent(event, before, resource, _encode(shown).decode()))
    return folded
