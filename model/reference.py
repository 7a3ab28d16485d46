"""Resolution of references: the text or object that a user wrote -> the ref that it means (SECA:
references; docs/reference/api.md). Pure.

`resource` may be any suffix of the URN. Ids that it leaves out are taken from the object's other
fields, then from the path of the resource that contains the reference. The collection may also be
written as the name of the kind with an `s`.
"""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from secaplane.model.kind import Kind
from secaplane.model.shape import Json, Ref

CACHED_MAX = 4096
POSSIBLE_ID = re.compile(r"[A-Za-z0-9][-.A-Za-z0-9]{0,127}")
"""Ids that do not match name no resource, so no lookup is made for them."""


def resolve(reference: str | Json, kind: Kind, source: Ref, *, region: str = "") -> Ref | None:
    """The ref that a reference in `source` means, if it points to a resource of `kind`; None if it
    cannot: it is written as another kind's, an id is missing, or two ids contradict each other.

    A plain string is a name, never a path. `region` is the region of this control plane; without
    it, a reference may name any region.
    """
    if isinstance(reference, str) and "/" in reference:
        return None
    fields = {"resource": reference} if isinstance(reference, str) else reference
    return _resolved(tuple(fields.items()), kind, source.collection, region)


@lru_cache(maxsize=CACHED_MAX)
def _resolved(
    fields: tuple[tuple[str, str], ...], kind: Kind, collection: str, region: str
) -> Ref | None:
    """Cached, because many resources of a workspace name the same few SKUs."""
    ids = _ids(dict(fields), kind, region)
    if ids is None or not POSSIBLE_ID.fullmatch(ids["name"]):
        return None
    ids_of_source = _ids_by_segment(collection)
    steps = kind.collection.split("/")
    for n, step in enumerate(steps):
        if step.startswith("{"):
            id_ = ids.get(step[1:-1]) or ids_of_source.get(steps[n - 1])
            if not id_ or not POSSIBLE_ID.fullmatch(id_):
                return None
            steps[n] = id_
    return Ref(kind.name, "/".join([*steps, ids["name"]]))


def _ids(fields: Mapping[str, Any], kind: Kind, region: str) -> dict[str, str] | None:
    """The ids in a reference, by their names in the kind's collection."""
    in_other_region = region and (fields.get("region") or region) != region
    if in_other_region or not _same_provider(fields.get("provider"), kind):
        return None
    given, whole = str(fields["resource"]).split("/"), _whole_path(kind)
    if given[0] == kind.provider.name and len(given) > 1 and given[1] != kind.provider.version:
        whole = (whole[0], *whole[2:])  # a provider without its version
    if len(given) > len(whole) or (len(given) > 1 and given[-2] not in collection_names(kind)):
        return None
    ids = {key: fields[key] for key in ("tenant", "workspace") if fields.get(key)}
    for place, step in zip(whole[-len(given) :], given, strict=True):
        if place.startswith("{"):
            if not step or ids.setdefault(place[1:-1], step) != step:
                return None
        elif step != place and not (place == whole[-2] and step in collection_names(kind)):
            return None
    return ids


@cache
def _whole_path(kind: Kind) -> tuple[str, ...]:
    """The steps of the URN, with the names of the ids."""
    provider = kind.provider
    return (provider.name, provider.version, *kind.collection.split("/"), "{name}")


def _same_provider(provider: str | None, kind: Kind) -> bool:
    return not provider or provider in (kind.provider.name, kind.provider.full_name)


@cache
def collection_names(kind: Kind) -> tuple[str, str]:
    """The names of a collection in references: `skus`, and `storage-skus`."""
    return kind.collection.rpartition("/")[2], f"{kind.name}s"


def _ids_by_segment(collection: str) -> dict[str, str]:
    """The ids in the path of a collection, by the segment before them."""
    steps = collection.split("/")
    return dict(zip(steps[::2], steps[1::2], strict=False))
