"""Findings of `secaplane log check`: streams compared with their sequence, and one resource as the
log, the rows, the history and the snapshot have it. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from secaplane.eventlog.decoding import CANNOT_APPLY, not_closed, remaining
from secaplane.eventlog.log import Followed, UndecodableEvent
from secaplane.eventlog.losses.holes import Hole, unknown
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource


class Finding(NamedTuple):
    """Something that is wrong. Its names and their values are an interface (docs/operate.md)."""

    problem: str
    """hole, cut, chain, twice, undecodable, row, history or snapshot."""
    place: str
    """Positions of a stream, a stream, or the kind and the path of a resource."""
    detail: str
    """For people: its text may change."""


class Stored(NamedTuple):
    """Everything that is derived from the events of one resource."""

    row: Resource | None
    reached: Position
    """The position that the rows have reached."""
    history: Mapping[Position, Resource]
    snapshot: Resource | None


def holes(found: Iterable[Hole], acknowledged: Sequence[Hole]) -> Iterator[Finding]:
    for hole in unknown(found, acknowledged):
        yield Finding("hole", str(hole), f"{hole.count} events are missing")


def cut(stream: str, end: Position, reached: Position) -> Iterator[Finding]:
    """`end`: the last position that the stream has given; `reached`: that the rows have reached."""
    if end < reached:
        yield Finding("cut", stream, f"the log ends at {end or 0}, and the rows at {reached}")


def findings(ref: Ref, events: Sequence[Followed], stored: Stored) -> Iterator[Finding]:
    place = f"{ref.kind} {ref.path}"
    twice = _twice(events)
    yield from (Finding("twice", place, each) for each in twice.values())
    states, damage = _states(events)
    if damage is None:
        yield from (Finding(problem, place, each) for problem, each in _differing(states, stored))
    elif damage.position not in twice:
        problem = "chain" if damage.missing else "undecodable"
        yield Finding(problem, place, f"at {damage.position}: {damage.reason}")


def _twice(events: Sequence[Followed]) -> dict[Position, str]:
    """Two events with one predecessor have one version: the position of the later one, and what is
    wrong. What a `Closed` leaves out is no event of the resource any more."""
    seen, twice = dict[Position, Position](), dict[Position, str]()
    for each in not_closed(events):
        if isinstance(each, RecordedEvent) and not isinstance(each.event, Closed):
            if each.previous in seen:
                both = f"events {seen[each.previous]} and {each.position}"
                twice[each.position] = f"{both} follow {each.previous or 'no other event'}"
            seen[each.previous] = each.position
    return twice


def _states(
    events: Sequence[Followed],
) -> tuple[dict[Position, Resource], UndecodableEvent | None]:
    """The resource after each event that counts."""
    states, resource = dict[Position, Resource](), None
    for each in remaining(events, BEGINNING):
        if isinstance(each, UndecodableEvent):
            return states, each
        try:
            resource = states[each.position] = evolve(resource, each)
        except CANNOT_APPLY as error:
            return states, UndecodableEvent(each.ref, each.position, reason_of(error))
    return states, None


def _differing(states: Mapping[Position, Resource], stored: Stored) -> Iterator[tuple[str, str]]:
    newest = max(states, default=BEGINNING)
    row, snapshot = stored.row, stored.snapshot
    if row is not None and row.position > newest:
        yield "row", f"shows event {row.position}; the log ends at {newest or 0} for it"
    elif row is not None and states.get(row.position, row) != row:
        yield "row", f"differs from the fold at {row.position}"
    due = max((each for each in states if each <= stored.reached), default=BEGINNING)
    if due and states[due].version and (row is None or row.position < due):
        yield "row", f"does not show event {due}"
    for position, resource in stored.history.items():
        if position in states and states[position] != resource:
            yield "history", f"differs from the fold at {position}"
        elif position > newest:
            yield "history", f"has event {position}, which the log does not have"
    if snapshot is not None and snapshot.position <= newest:
        if states.get(snapshot.position, snapshot) != snapshot:
            yield "snapshot", f"differs from the fold at {snapshot.position}"
    elif snapshot is not None:
        yield "snapshot", f"shows event {snapshot.position}, which the log does not have"
