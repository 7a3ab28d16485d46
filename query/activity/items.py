"""The activity as it is shown: tenant-wide with everything that is recorded, and as the standard's
`ActivityLog`. Pure."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import NamedTuple

from secaplane.edge.problem_table import problem_type
from secaplane.kinds import KINDS
from secaplane.model.desired import with_secrets_hidden
from secaplane.model.kind import Kind
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from secaplane.query.activity.pseudonyms import pseudonym
from secaplane.query.history.entries import actor
from secaplane.query.history.lives import decode_resource
from secaplane.readmodel.activity_rows import (
    ACCEPTED,
    FAILED,
    REFUSED,
    REPORTED,
    Activity,
    EntryActivity,
    EventActivity,
    UnknownCaller,
    UnknownCallers,
    verb_of,
)

STATUS = {
    "created": HTTPStatus.CREATED,
    "updated": HTTPStatus.OK,
    "action-requested": HTTPStatus.ACCEPTED,
    "deletion-requested": HTTPStatus.ACCEPTED,
}
"""By type of event: the status of the answer (HTTP)."""
SUBJECT_LENGTH_MAX, RESOURCE_LENGTH_MAX, VERB_LENGTH_MAX = 256, 2000, 7
"""Of the standard's `ActivityLog`."""
UNKNOWN_CALLERS, HOUR_FORMAT = "unknown-callers", "%Y%m%d%H"
NUMBER = re.compile(r"[1-9][0-9]{0,17}")


class TenantNames(NamedTuple):
    """The key and the tenant of the pseudonyms of unknown callers."""

    key: bytes
    uid: str
    """Of the tenant's life."""

    def of(self, caller: UnknownCaller) -> str:
        return pseudonym(self.key, self.uid, caller.issuer, caller.sub)


def item(row: Activity, names: TenantNames) -> Json:
    """One item of the tenant-wide activity; fields that say nothing are left out."""
    named: Json = {"name": name_of(row)}
    match row:
        case EventActivity():
            return named | _of_event(row)
        case EntryActivity():
            return named | _of_entry(row)
    return named | _of_unknown(row, names)


def _of_event(row: EventActivity) -> Json:
    return _filled(
        {
            "position": str(row.position),
            "time": row.time,
            "type": row.type,
            "outcome": _outcome(row),
            "verb": verb_of(row.type),
            "status": STATUS.get(row.type),
            "resource": _resource(row.kind, row.path) | {"uid": row.uid},
            "request": row.request,
            "cause": row.cause,
            "actor": actor(row.actor),
            "reason": row.reason,
        }
    )


def _outcome(row: EventActivity) -> str:
    if row.type in STATUS:
        return ACCEPTED
    return FAILED if row.failed else REPORTED


def _of_entry(row: EntryActivity) -> Json:
    return _filled(
        {
            "position": str(row.position),
            "time": row.time,
            "type": "read" if row.outcome == ACCEPTED else "refused",
            "outcome": row.outcome,
            "verb": row.verb,
            "status": row.status,
            "problem": problem_type(row.status),
            "resource": _resource(row.kind, row.path),
            "request": row.request,
            "actor": actor(row.actor),
            "reason": row.reason,
            "leftOut": row.dropped,
        }
    )


def _of_unknown(row: UnknownCallers, names: TenantNames) -> Json:
    return _filled(
        {
            "time": row.hour,
            "until": row.last,
            "type": "unknown-callers",
            "outcome": REFUSED,
            "refused": row.recorded,
            "leftOut": row.dropped,
            "callers": row.callers,
            "most": [
                _filled(
                    {
                        "actor": {"sub": names.of(each)},
                        "refused": each.recorded,
                        "leftOut": each.dropped,
                        "last": each.last,
                        "verbs": each.verbs,
                        "kinds": each.kinds,
                    }
                )
                for each in row.most
            ],
        }
    )


def _resource(kind: str, path: str) -> Json:
    """With `metadata.ref` where the kind is known; a collection has its path below the provider."""
    known = KINDS.get(kind)
    if known is None:
        return {"path": path}
    return {"kind": kind, "ref": f"{known.provider.full_name}/{path}"}


def _filled(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if value not in (None, "", 0, [], {})}


# --- the standard's form


def activity_log(row: Activity, kind: Kind, ids: Json, names: TenantNames, region: str) -> Json:
    """An `ActivityLog` (SECA: extensions.activitylog.v1beta1)."""
    name, time = name_of(row), row.key[0]
    ref = Ref(kind.name, f"{kind.collection.format_map(ids)}/{name}")
    metadata: Json = {
        "name": name,
        "provider": kind.provider.full_name,
        "resource": "/".join(ref.path.split("/")[kind.scope_segments :]),
        "verb": "GET",
        "apiVersion": kind.provider.version,
        "kind": kind.name,
        "ref": kind.urn(ref),
        "tenant": ids["tenant"],
        "workspace": ids["workspace"],
        "region": region,
        "createdAt": time,
        "lastModifiedAt": time,
        "resourceVersion": 1,
    }
    return {"metadata": metadata, "spec": _spec(row, ids, names)}


def name_of(row: Activity) -> str:
    """A name that only this row has."""
    if isinstance(row, UnknownCallers):
        return f"{UNKNOWN_CALLERS}-{row.hour:{HOUR_FORMAT}}"
    return f"{row.stream.lower()}-{row.sequence}"


def named(name: str, streams: Iterable[str]) -> Position | datetime | None:
    """The position of the row that has a name, or the hour of unknown callers; None where no row
    can have it."""
    stem, _, number = name.rpartition("-")
    if not NUMBER.fullmatch(number):
        return None
    if stem == UNKNOWN_CALLERS:
        try:
            hour = datetime.strptime(number, HOUR_FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return None
        return hour if f"{hour:{HOUR_FORMAT}}" == number else None
    stream = next((each for each in streams if each.lower() == stem), "")
    return Position(stream, int(number)) if stream else None


def _spec(row: Activity, ids: Json, names: TenantNames) -> Json:
    status: int | None
    match row:
        case EventActivity():
            request: Json = {"resource": row.path, "verb": verb_of(row.type)}
            if row.resource is not None:
                written = decode_resource(row.resource)
                request["body"] = with_secrets_hidden(KINDS[row.kind], written).spec
            subject, status = actor(row.actor)["sub"], STATUS.get(row.type)
        case EntryActivity():
            request = {"resource": row.path, "verb": row.verb.partition(".")[0]}
            subject, status = actor(row.actor)["sub"], row.status
        case UnknownCallers():
            request = {"resource": f"tenants/{ids['tenant']}/workspaces/{ids['workspace']}"}
            number = f"{row.recorded + row.dropped} refused requests"
            callers = ", ".join(map(names.of, row.most))
            subject, status = (
                f"{number} of {row.callers} unknown callers: {callers}",
                HTTPStatus.FORBIDDEN,
            )
    request["resource"] = request["resource"][:RESOURCE_LENGTH_MAX]
    if "verb" in request:
        request["verb"] = request["verb"][:VERB_LENGTH_MAX]
    shown: Json = {"subject": subject[:SUBJECT_LENGTH_MAX], "request": request}
    return shown | ({"response": {"code": status}} if status is not None else {})
