"""The events of one resource as its history shows them. Pure."""

from collections.abc import Iterator
from itertools import islice

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.actor import SealedActor, ShownActor
from secaplane.model.desired import ERASED_TEXT, desired, secrets_changed
from secaplane.model.json_patch import patch
from secaplane.model.pointer import LENGTH_MAX
from secaplane.model.shape import Json, Resource
from secaplane.readmodel.history_row import HistoryRow
from secaplane.sealing.fingerprint import fingerprint

CHANGED_MAX = 64
"""Pointers of one entry."""
SEALED_ACTOR = "<sealed>"
_decode_actor = msgspec.json.Decoder(ShownActor | SealedActor).decode


def entry(
    row: HistoryRow, resource: Resource, before: Resource | None, *, erased: bool = False
) -> Json:
    """One event; `before` is the resource after the event before, None at the beginning of a
    life. `erased`: the key of the contents was destroyed."""
    shown: Json = {
        "position": str(row.position),
        "time": row.time,
        "resourceVersion": resource.version,
        "type": row.type,
        "state": resource.state,
        "request": row.request,
        "actor": actor(row.actor),
    }
    if row.cause:
        shown["cause"] = row.cause
    if erased:
        return shown | {"changed": [ERASED_TEXT]}
    changed = list(islice(changed_fields(resource, before), CHANGED_MAX + 1))
    shown["changed"] = changed[:CHANGED_MAX]
    if len(changed) > CHANGED_MAX:
        shown["changedMore"] = True
    return shown


def changed_fields(resource: Resource, before: Resource | None) -> Iterator[str]:
    """JSON pointers of the fields of the desired state that an event changed; a secret field, too,
    if its secret changed."""
    if before is not None and before.version == resource.version:
        return
    old = comparable(before) if before is not None else {}
    seen = set[str]()
    for operation in patch(old, comparable(resource)):
        pointer: str = operation["path"]
        while len(pointer) > LENGTH_MAX:
            pointer = pointer.rpartition("/")[0]
        if pointer not in seen:
            seen.add(pointer)
            yield pointer


def comparable(resource: Resource) -> Json:
    """The desired state with each secret replaced by what tells whether it is the same. For
    comparisons only: it is never shown."""
    kind = KINDS[resource.ref.kind]
    return desired(secrets_changed(kind, resource, fingerprint))


def actor(text: str) -> Json:
    """The actor of an event as it was recorded: the caller, its origin, and the right by which it
    was allowed then."""
    recorded = _decode_actor(text)
    if isinstance(recorded, SealedActor):
        return {"sub": SEALED_ACTOR}
    shown = {
        "sub": recorded.sub,
        "issuer": recorded.issuer,
        "token": recorded.token,
        "groups": recorded.groups,
        "assignment": recorded.assignment,
        "policyRevision": str(recorded.policy) if recorded.policy else "",
        "clientAddress": recorded.client_address,
        "userAgent": recorded.user_agent,
        "pseudonym": recorded.pseudonym,
    }
    return {field: value for field, value in shown.items() if value or field == "sub"}
