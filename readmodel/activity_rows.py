"""Rows of the activity in a tenant: events, entries of the security audit stream, and the refused
requests of unknown callers in one hour. Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from secaplane.model.position import Position

ActivityKey = tuple[datetime, str, int]
"""Time, stream and sequence: the order of the activity. It never changes for a row."""
BEFORE_ALL: ActivityKey = (datetime.max.replace(tzinfo=UTC), "\U0010ffff", 2**63 - 1)
"""Later than every row."""


class EventActivity(NamedTuple):
    """An event, in the order of EVENT_COLUMNS."""

    time: datetime
    stream: str
    sequence: int
    kind: str
    path: str
    uid: str
    type: str
    """As in the log's envelope: `updated`."""
    request: str
    cause: str
    actor: str
    """JSON."""
    failed: bool
    reason: str
    resource: str | None
    """JSON of the resource after the event, where it was asked for."""

    @property
    def key(self) -> ActivityKey:
        return self.time, self.stream, self.sequence

    @property
    def position(self) -> Position:
        return Position(self.stream, self.sequence)


class EntryActivity(NamedTuple):
    """An entry whose caller the tenant knows, in the order of ENTRY_COLUMNS."""

    time: datetime
    stream: str
    sequence: int
    outcome: str
    status: int
    verb: str
    kind: str
    path: str
    request: str
    actor: str
    """JSON."""
    reason: str
    dropped: int

    @property
    def key(self) -> ActivityKey:
        return self.time, self.stream, self.sequence

    @property
    def position(self) -> Position:
        return Position(self.stream, self.sequence)


class UnknownCaller(NamedTuple):
    """The refused requests of one unknown caller in an hour."""

    issuer: str
    sub: str
    recorded: int
    dropped: int
    """Left out by the bound on entries of one caller."""
    last: datetime
    verbs: Sequence[str]
    kinds: Sequence[str]


class UnknownCallers(NamedTuple):
    """The refused requests of all unknown callers in one hour."""

    hour: datetime
    recorded: int
    dropped: int
    callers: int
    last: datetime
    most: Sequence[UnknownCaller]
    """Those with most requests."""

    @property
    def key(self) -> ActivityKey:
        """After everything else of the hour, in a list with the newest first."""
        return self.hour, "", 0


TYPES_OF_VERBS = {
    "put": ("created", "updated"),
    "delete": ("deletion-requested",),
    "post": ("action-requested",),
    "report": ("status-reported", "deleted"),
    "close": ("closed",),
}
ACCEPTED, REFUSED, REPORTED, FAILED = "accepted", "refused", "reported", "failed"
OUTCOMES = (ACCEPTED, REFUSED, REPORTED, FAILED)
_VERB_OF_TYPE = {each: verb for verb, types in TYPES_OF_VERBS.items() for each in types}
REPORTS = (*TYPES_OF_VERBS["report"], *TYPES_OF_VERBS["close"])
VERBS = ("get", "list", *TYPES_OF_VERBS)


def verb_of(type_: str) -> str:
    """The verb of an event's type."""
    return _VERB_OF_TYPE[type_]


Activity = EventActivity | EntryActivity | UnknownCallers
EVENT_COLUMNS = (
    "time, stream, position, kind, path, uid, type, request, cause, actor, failed, reason"
)
ENTRY_COLUMNS = (
    "time, stream, position, outcome, status, verb, kind, path, request, actor, reason, dropped"
)


class ActivitySelection(NamedTuple):
    """The rows of one tenant that are asked for; None does not restrict."""

    tenant: str
    """The uid of its present life."""
    begun: datetime
    """Entries about every tenant count from here on."""
    workspace: str | None = None
    actor: str | None = None
    """A sub."""
    verb: str | None = None
    kind: str | None = None
    outcome: str | None = None
    statuses: tuple[int, ...] | None = None
    """Refused requests with one of these statuses alone."""
    since: datetime | None = None
    until: datetime | None = None
    at: Position | None = None
    """The event or the entry at this position alone."""
    unknown: tuple[str, str] | None = None
    """Of unknown callers, this issuer and sub alone."""
