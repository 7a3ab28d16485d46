"""The rows that entries of the security audit stream become. Pure.

Of a caller that the tenant does not know, only what is counted is kept: who it was is in the audit
stream, for operators.
"""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec
from msgspec import UnsetType

from secaplane.audit.entries import ALL_SUBJECTS, Entry, EntryTenant, allowed_by, decode
from secaplane.edge.problem_table import DEFECT, PROBLEMS
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import RawEvent
from secaplane.kinds.located import located
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden, Unauthenticated
from secaplane.model.position import BEGINNING, Position, parse
from secaplane.projector.columns import InsertRows, Row
from secaplane.readmodel.activity_rows import ACCEPTED, REFUSED

COLUMNS = {
    "stream": "text",
    "position": "bigint",
    "subject": "text",
    "tenant": "text",
    "known": "bool",
    "time": "timestamptz",
    "outcome": "text",
    "status": "int",
    "verb": "text",
    "kind": "text",
    "path": "text",
    "workspace": "text",
    "issuer": "text",
    "sub": "text",
    "request": "text",
    "actor": "text",
    "reason": "text",
    "dropped": "int",
}
INSERTED = InsertRows("entries", COLUMNS)
OUTCOMES = {
    "unauthenticated": (REFUSED, PROBLEMS[Unauthenticated][0]),
    "forbidden": (REFUSED, PROBLEMS[Forbidden][0]),
    "refused": (REFUSED, DEFECT[0]),
    "read": (ACCEPTED, HTTPStatus.OK.value),
}
"""Of the types that belong to the activity of a tenant: outcome and HTTP status, where the entry
names none."""
_AUDIT = ALL_SUBJECTS.removesuffix(">")
_encode = msgspec.json.Encoder().encode


def rows(batch: Sequence[RawEvent]) -> list[Row]:
    """Entries that concern no tenant, or that this release cannot decode, have none."""
    made = (_row(each) for each in batch if each.subject.startswith(_AUDIT))
    return [each for each in made if each is not None]


def _row(raw: RawEvent) -> Row | None:
    try:
        entry = decode(raw.data)
    except Undecodable:
        return None
    tenant = entry.concerns
    if not isinstance(tenant, EntryTenant) or entry.type not in OUTCOMES:
        return None
    outcome, status = OUTCOMES[entry.type]
    status = status if isinstance(entry.status, UnsetType) else entry.status
    place = located(entry.path)
    shown = place.path if place.kind else entry.path
    return (
        raw.position.stream,
        raw.position.sequence,
        raw.subject,
        tenant.uid,
        tenant.known,
        entry.time,
        outcome,
        status,
        _storable(entry.verb),
        place.kind,
        _storable(shown) if tenant.known else "",
        _storable(place.workspace),
        _storable(entry.caller.issuer),
        _storable(entry.caller.sub),
        _storable(entry.request) if tenant.known else "",
        _actor(entry, tenant) if tenant.known else "",
        _storable(entry.reason) if tenant.known else "",
        entry.dropped,
    )


def _actor(entry: Entry, tenant: EntryTenant) -> str:
    """As the history has the actor of an event."""
    caller = entry.caller
    actor = Actor(
        issuer=caller.issuer,
        sub=caller.sub,
        token=caller.token,
        groups=caller.groups or (),
        assignment=allowed_by(entry),
        policy=_position(tenant.policy),
        client_address=entry.client_address,
        user_agent=entry.user_agent or "",
    )
    return _encode(actor).decode()


def _position(text: str) -> Position:
    try:
        return parse(text)
    except ValueError:
        return BEGINNING


def _storable(text: str) -> str:
    """PostgreSQL stores no NUL."""
    return text.replace("\0", "")
