"""A tenant, and who administers it first. Only operators make one (CONTRACT: Who may)."""

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

import secaplane.kinds
from secaplane.kinds.admin import PROVIDER
from secaplane.kinds.authorization.role_assignment import Sub
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import (
    Backing,
    CompanionResource,
    Exposure,
    Kind,
    Ownership,
    ParentsByKind,
    SpecRules,
)
from secaplane.model.shape import Json, Ref, Wire

Most = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Counted = Annotated[str, Meta(min_length=1, max_length=192)]


class Quotas(Wire, frozen=True):
    """How much the tenant may have at most; what is left out has no limit."""

    resources: Annotated[dict[Counted, Most], Meta(max_length=256)] | UnsetType = UNSET
    """By kind (`public-ip`), or by kind and SKU (`instance/seca.dxs`)."""
    cores: Most | UnsetType = UNSET
    ram_gb: Most | UnsetType = msgspec.field(name="ramGB", default=UNSET)
    volume_gb: Most | UnsetType = msgspec.field(name="volumeGB", default=UNSET)


class TenantSpec(Wire, frozen=True):
    administrators: Annotated[tuple[Sub, ...], Meta(min_length=1, max_length=256)]
    """Subs that get `seca.admin` when the tenant comes into being; later, role assignments rule."""
    quotas: Quotas | UnsetType = UNSET
    """Lowering one takes nothing away; it only refuses more."""


def administration(ref: Ref, spec: Json, creator: str) -> CompanionResource:
    assignment = {"subs": spec["administrators"], "roles": ["seca.admin"], "scopes": [{}]}
    return CompanionResource(
        "role-assignment", f"{ref.path}/role-assignments/administrators", assignment
    )


def counts_what_there_is(
    old: Json | None, new: Json, around: ParentsByKind
) -> Iterable[BrokenRule]:
    for what in new.get("quotas", {}).get("resources", {}):
        name, slash, _ = what.partition("/")
        kind = secaplane.kinds.KINDS.get(name)
        if kind is None or not kind.counted or (slash and kind.sku is None):
            where = f"/spec/quotas/resources/{what.replace('~', '~0').replace('/', '~1')}"
            yield BrokenRule("is no kind of a tenant's resources, such as instance", where)


KIND = Kind(
    provider=PROVIDER,
    name="tenant",
    title="Tenant",
    collection="tenants",
    spec=TenantSpec,
    rules=SpecRules(check=counts_what_there_is),
    backing=Backing.RECORD,
    owned=Ownership(companion=administration, cascades=("role", "role-assignment")),
    exposure=Exposure(deletable=False),
)
