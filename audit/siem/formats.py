"""The formats of the export: a record as the object that becomes one line. Pure.

What each type of record is called in each format is a row of `siem.mapping`.
"""

import ipaddress
from collections.abc import Callable, Collection
from typing import Any, Literal, NamedTuple

import msgspec

from secaplane.audit.siem.mapping import (
    CLASSES,
    OTHER,
    SEVERITIES,
    SYSTEM_USER,
    TARGETS,
    UNKNOWN_USER,
    USER,
    activity_of,
    row_of,
)
from secaplane.audit.siem.records import SiemActor, SiemRecord
from secaplane.kinds import KINDS
from secaplane.model.shape import Json

FormatName = Literal["ocsf", "cadf", "cloudevents", "native"]
OCSF_VERSION = "1.8.0"
PRODUCT = "Secaplane"
STATUS = {"unknown": 0, "success": 1, "failure": 2}
"""OCSF `status_id`."""
REQUIRED = (
    "activity_id",
    "category_uid",
    "class_uid",
    "type_uid",
    "severity_id",
    "status_id",
    "time",
)
"""OCSF: numbers that say something although they are 0."""
CADF = "http://schemas.dmtf.org/cloud/audit/1.0/event"
_to_json = msgspec.json.Encoder(order="deterministic").encode


class ExportingSite(NamedTuple):
    """Facts that all records of one control plane have in common."""

    region: str
    version: str
    """Of this release."""

    @property
    def source(self) -> str:
        return f"secaplane:{self.region}"


def line(format_name: FormatName, record: SiemRecord, site: ExportingSite) -> bytes:
    """The record as JSON, without a line break in it."""
    return _to_json(FORMATS[format_name](record, site))


# --- native, CloudEvents


def native(record: SiemRecord, site: ExportingSite) -> Any:
    return record


def cloudevent(record: SiemRecord, site: ExportingSite) -> Json:
    """CloudEvents 1.0, structured mode; `source` and `id` together are unique."""
    event: Json = {
        "specversion": "1.0",
        "id": record.id,
        "source": site.source,
        "type": f"secaplane.{record.type}.v1",
        "time": record.time,
        "datacontenttype": "application/json",
        "data": record,
    }
    subject = record.resource.path or record.path
    return event | ({"subject": subject} if subject else {})


# --- CADF


def cadf(record: SiemRecord, site: ExportingSite) -> Json:
    """DMTF DSP0262: initiator, action, target, outcome, observer."""
    row = row_of(record)
    reason = {"reasonType": site.source, "reasonCode": record.detail} if record.detail else None
    event: Json = {
        "typeURI": CADF,
        "id": f"{site.source}:{record.id}",
        "eventType": row.cadf_type,
        "eventTime": record.time,
        "action": record.verb if row.cadf_action == OTHER else row.cadf_action,
        "outcome": record.outcome,
        "initiator": _initiator(record.actor),
        "target": _target(record),
        "observer": {"id": site.source, "typeURI": "service/management", "name": PRODUCT},
        "tags": [f"request:{record.request}"] if record.request else None,
        "reason": reason,
        "attachments": _attachments(record),
    }
    return _without_empty(event)


def _initiator(actor: SiemActor) -> Json:
    host = {"address": actor.client_address, "agent": actor.user_agent}
    initiator: Json = {
        "id": ":".join(part for part in (actor.issuer, actor.sub) if part) or "unknown",
        "typeURI": "service/management" if actor.is_system else "service/security/account/user",
        "name": actor.sub or "unknown",
        "host": _without_empty(host),
        "credential": {"token": actor.token} if actor.token else None,
    }
    return _without_empty(initiator)


def _target(record: SiemRecord) -> Json:
    resource, process = record.resource, record.process
    if process is not None:
        return {
            "id": process.instance,
            "typeURI": "service/management",
            "name": process.name,
            "version": process.version,
        }
    kind = KINDS.get(resource.kind)
    stem = TARGETS.get(kind.provider.name, "service") if kind else "service"
    named = resource.path or record.path or record.stream
    target = {
        "id": resource.uid or named,
        "typeURI": f"{stem}/{resource.kind}" if resource.kind else "service/api",
        "name": named,
    }
    return target | ({"projectId": resource.tenant} if resource.tenant else {})


def _attachments(record: SiemRecord) -> list[Json]:
    parts = {
        "content": record.content,
        "assignment": record.actor.assignment,
        "groups": record.actor.groups,
        "cause": record.cause,
        "dropped": record.dropped,
        "process": record.process,
    }
    return [
        {"name": name, "contentType": "application/json", "content": value}
        for name, value in parts.items()
        if value
    ]


# --- OCSF


def ocsf(record: SiemRecord, site: ExportingSite) -> Json:
    """An event of OCSF_VERSION; the class decides which objects it has."""
    row = row_of(record)
    class_, (activity, activity_name) = row.ocsf_class, activity_of(row, record)
    category, class_name = CLASSES[class_]
    event: Json = {
        "activity_id": activity,
        "activity_name": activity_name,
        "category_uid": category,
        "class_uid": class_,
        "class_name": class_name,
        "type_uid": class_ * 100 + activity,
        "severity_id": row.severity,
        "severity": SEVERITIES[row.severity],
        "status_id": STATUS[record.outcome],
        "status": record.outcome.capitalize(),
        "status_code": str(record.status or ""),
        "status_detail": record.detail,
        "message": _message(record),
        "time": int(record.time.timestamp() * 1000),
        "metadata": _metadata(record, site),
        **_PARTS[class_](record),
    }
    return _without_empty(event, keep=REQUIRED) | _unmapped(record)


def _message(record: SiemRecord) -> str:
    parts = (record.type, record.resource.path or record.path, record.verb)
    return " ".join(each for each in parts if each)


def _metadata(record: SiemRecord, site: ExportingSite) -> Json:
    known: Json = {
        "uid": record.id,
        "version": OCSF_VERSION,
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": site.version},
        "log_name": record.stream,
        "log_provider": site.source,
        "sequence": record.sequence,
        "event_code": record.type,
        "correlation_uid": record.request,
        "tenant_uid": record.resource.tenant_uid,
    }
    return _without_empty(known)


def _unmapped(record: SiemRecord) -> Json:
    facts: Json = {
        "tenant": record.resource.tenant,
        "cause": record.cause,
        "traceparent": record.actor.traceparent,
        "dropped": record.dropped,
        "process": msgspec.to_builtins(record.process) if record.process else None,
    }
    left = _without_empty(facts)
    return {"unmapped": left} if left else {}


def _ocsf_user(actor: SiemActor) -> Json:
    type_id = USER if actor.sub else UNKNOWN_USER
    user: Json = {
        "name": actor.sub or "unknown",
        "uid": ":".join(part for part in (actor.issuer, actor.sub) if part),
        "type_id": SYSTEM_USER if actor.is_system else type_id,
        "domain": actor.issuer,
        "credential_uid": actor.token,
        "groups": [{"name": each} for each in actor.groups],
    }
    return _without_empty(user, keep=("type_id",))


def _ocsf_actor(actor: SiemActor) -> Json:
    allowed: Json = {
        "decision": "allowed",
        "policy": _without_empty({"name": actor.assignment, "version": actor.policy}),
    }
    shown: Json = {
        "user": _ocsf_user(actor),
        "authorizations": [allowed] if actor.assignment else [],
    }
    return _without_empty(shown)


def _endpoint(actor: SiemActor) -> Json:
    """The client; the control plane itself has no address that a request came from."""
    if actor.is_system:
        return {"svc_name": actor.sub}
    try:
        ipaddress.ip_address(actor.client_address)
    except ValueError:
        return {"name": actor.client_address or "unknown"}
    return {"ip": actor.client_address}


def _api_parts(record: SiemRecord) -> Json:
    resource, agent = record.resource, record.actor.user_agent
    named = resource.path or record.path
    operation = " ".join(each for each in (record.verb or record.type, resource.kind) if each)
    request: Json = {"uid": record.request or record.id, "data": record.content}
    return {
        "actor": _ocsf_actor(record.actor),
        "api": {
            "operation": operation,
            "request": _without_empty(request),
            "service": {"name": PRODUCT},
        },
        "src_endpoint": _endpoint(record.actor),
        "http_request": {"user_agent": agent} if agent else {},
        "resources": [_without_empty({"name": named, "uid": resource.uid, "type": resource.kind})]
        if named
        else [],
    }


def _entity_parts(record: SiemRecord) -> Json:
    resource = record.resource
    entity: Json = {
        "name": resource.path or record.path or record.stream,
        "uid": resource.uid,
        "type": resource.kind,
        "data": record.content,
    }
    return {"actor": _ocsf_actor(record.actor), "entity": _without_empty(entity)}


def _authentication_parts(record: SiemRecord) -> Json:
    return {
        "user": _ocsf_user(record.actor),
        "service": {"name": PRODUCT},
        "src_endpoint": _endpoint(record.actor),
        "is_remote": True,
        "auth_protocol": "OAUTH 2.0",
        "auth_protocol_id": 6,
    }


def _lifecycle_parts(record: SiemRecord) -> Json:
    process = record.process
    if process is None:  # an entry without its facts
        return {"app": {"name": PRODUCT}}
    return {
        "app": {
            "name": f"{PRODUCT} {process.name}",
            "uid": process.instance,
            "version": process.version,
            "vendor_name": PRODUCT,
        }
    }


def _no_parts(record: SiemRecord) -> Json:
    return {}


def _without_empty(value: Json, keep: Collection[str] = ()) -> Json:
    """A copy without members that say nothing."""
    return {name: each for name, each in value.items() if each or name in keep}


_PARTS: dict[int, Callable[[SiemRecord], Json]] = {
    6003: _api_parts,
    3002: _authentication_parts,
    3004: _entity_parts,
    6002: _lifecycle_parts,
    0: _no_parts,
}
FORMATS: dict[FormatName, Callable[[SiemRecord, ExportingSite], Any]] = {
    "ocsf": ocsf,
    "cadf": cadf,
    "cloudevents": cloudevent,
    "native": native,
}
