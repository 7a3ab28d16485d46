"""Tenant: a customer of the cloud, its first administrators and its quotas.

Not part of SECA, which presumes tenants: operators create them (docs/reference/api.md)."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

import secaplane.kinds
from secaplane.kinds.admin import PROVIDER
from secaplane.kinds.authorization.role_assignment import Sub
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import (
    SCOPE_LENGTH_MAX,
    Backing,
    CompanionResource,
    Exposure,
    Kind,
    Ownership,
    SpecRules,
)
from secaplane.model.pointer import pointer_to
from secaplane.model.reference import POSSIBLE_ID
from secaplane.model.shape import Json, Ref, Wire
from secaplane.model.subject import broken_subjects

Most = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Counted = Annotated[str, Meta(min_length=1, max_length=192)]


class Quotas(Wire, frozen=True):
    """Upper limits of the tenant; what is left out has no limit."""

    resources: Annotated[dict[Counted, Most], Meta(max_length=256)] | UnsetType = UNSET
    """Number of resources by kind (`public-ip`), or by kind and SKU (`instance/DXS`)."""
    cores: Most | UnsetType = UNSET
    ram_gb: Most | UnsetType = msgspec.field(name="ramGB", default=UNSET)
    volume_gb: Most | UnsetType = msgspec.field(name="volumeGB", default=UNSET)


class TenantSpec(Wire, frozen=True):
    administrators: Annotated[tuple[Sub, ...], Meta(min_length=1, max_length=256)]
    """Subs that get `seca.admin` once, with the creation; later, role assignments decide."""
    quotas: Quotas | UnsetType = UNSET
    """Lowering a quota deletes nothing; it only refuses more."""


def administration(ref: Ref, spec: Json, creator: str) -> CompanionResource:
    assignment = {"subs": spec["administrators"], "roles": ["seca.admin"], "scopes": [{}]}
    return CompanionResource(
        "role-assignment", f"{ref.path}/role-assignments/administrators", assignment
    )


def names_what_exists(spec: Json) -> Iterable[BrokenRule]:
    """Administrators that callers can be, and quotas of what can be counted."""
    yield from broken_subjects(spec.get("administrators", ()), "/spec/administrators")
    seen: set[tuple[str, str]] = set()
    for counted in spec.get("quotas", {}).get("resources", {}):
        name, slash, sku = counted.partition("/")
        kind = secaplane.kinds.KINDS.get(name)
        pointer = pointer_to(("spec", "quotas", "resources", counted))
        if kind is None or not kind.counted or (slash and kind.sku is None):
            yield BrokenRule("is no kind of a tenant's resources, such as instance", pointer)
        elif slash and not POSSIBLE_ID.fullmatch(sku):
            yield BrokenRule("names no SKU: write it as instance/DXS", pointer)
        elif (name, secaplane.kinds.sku_name(sku)) in seen:
            yield BrokenRule("names a SKU for the second time, by its alias", pointer)
        seen.add((name, secaplane.kinds.sku_name(sku)))


KIND = Kind(
    provider=PROVIDER,
    name="tenant",
    title="Tenant",
    collection="tenants",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=TenantSpec,
    rules=SpecRules(check=names_what_exists),
    backing=Backing.RECORD,
    owned=Ownership(companion=administration, cascades=("role", "role-assignment")),
    exposure=Exposure(deletable=False),
)
