"""The JSON document of a resource as the API shows it (SECA: resource envelope;
docs/reference/api.md). Pure."""

from functools import reduce
from typing import Any

import msgspec
from msgspec import UNSET

from secaplane.model.kind import Kind
from secaplane.model.pointer import omitted
from secaplane.model.shape import Json, Resource


def document(kind: Kind, resource: Resource, *, region: str, verb: str = "GET") -> Json:
    """The whole document of one resource; `region` is the region of this control plane. A resource
    that is gone is shown without its secrets, sealed or not: they are opened for no caller."""
    shown: Json = {}
    for part in ("labels", "annotations", "extensions"):
        value = getattr(resource, part)
        if value is not UNSET:
            shown[part] = value
    shown["metadata"] = metadata(kind, resource, region=region, verb=verb)
    ended = resource.gone and kind.has_secrets
    shown["spec"] = reduce(omitted, kind.secrets.spec, resource.spec) if ended else resource.spec
    if kind.has_status:
        shown["status"] = status(kind, resource)
        if ended:
            shown["status"] = reduce(omitted, kind.secrets.status, shown["status"])
    return shown


def metadata(kind: Kind, resource: Resource, *, region: str, verb: str) -> Json:
    path = resource.ref.path
    steps = path.split("/")
    shown: Json = {
        "name": steps[-1],
        "provider": kind.provider.full_name,
        "resource": "/".join(steps[kind.scope_segments :]),
        "verb": verb,
        "apiVersion": kind.provider.version,
        "kind": kind.name,
        "ref": kind.urn(resource.ref),
    }
    for index, field in kind.metadata_scopes:
        shown[field] = steps[index]
    if kind.provider.regional:
        shown["region"] = region
    if kind.is_versioned:
        shown |= _modification(resource)
    return shown


def _modification(resource: Resource) -> Json:
    shown: dict[str, Any] = {
        "createdAt": resource.created_at,
        "lastModifiedAt": resource.modified_at,
        "resourceVersion": resource.version,
    }
    if resource.deleted_at is not None:
        shown["deletedAt"] = resource.deleted_at
    return shown


def _initial(kind: Kind, spec: Json) -> Json:
    """The status before any report. A resource whose contents were erased has an empty spec, also
    where the kind requires fields."""
    try:
        return kind.derived.initial(spec)
    except KeyError:
        if spec:
            raise
        return {}


def status(kind: Kind, resource: Resource) -> Json:
    shown: Json = {
        "state": resource.state,
        "conditions": resource.conditions,
        **_initial(kind, resource.spec),
        **resource.observed,
    }
    if resource.power.since is not None:
        shown["powerStateSince"] = resource.power.since
    return shown


encode = msgspec.json.Encoder().encode
