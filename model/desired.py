"""The desired state of a resource as callers write it, and secrets in what is shown of the past.
Pure."""

from collections.abc import Callable
from functools import reduce

from msgspec import UNSET
from msgspec.structs import replace

from secaplane.model.events import DesiredState
from secaplane.model.kind import Kind
from secaplane.model.pointer import changed
from secaplane.model.shape import Json, Resource

SECRET = "<secret>"
"""Stands for a secret wherever the past is shown: neither its digest nor its ciphertext leaves."""
ERASED_TEXT = "<erased>"
"""Stands for contents and callers whose key was destroyed, wherever the past is shown."""
PARTS = ("labels", "annotations", "extensions", "spec")


def desired(resource: Resource | DesiredState) -> Json:
    """The parts that a caller writes, without those that are absent."""
    parts = {part: getattr(resource, part) for part in PARTS}
    return {part: value for part, value in parts.items() if value is not UNSET}


def with_secrets_hidden(kind: Kind, resource: Resource) -> Resource:
    return secrets_changed(kind, resource, lambda _: SECRET)


def secrets_changed(kind: Kind, resource: Resource, change: Callable[[str], str]) -> Resource:
    """The resource with each secret of its spec and status changed; the same object where its kind
    has none."""
    if not kind.has_secrets:
        return resource

    def applied(value: Json, pointer: str) -> Json:
        with_change: Json = changed(value, pointer, change)
        return with_change

    return replace(
        resource,
        spec=reduce(applied, kind.secrets.spec, resource.spec),
        observed=reduce(applied, kind.secrets.status, resource.observed),
    )
