"""A tenant, and who administers it first. Only operators make one (CONTRACT: Who may)."""

from typing import Annotated

from msgspec import Meta

from kinds.admin import PROVIDER
from kinds.authorization.role_assignment import Sub
from model.kind import Companion, Kind
from model.shape import Json, Ref, Wire


class TenantSpec(Wire, frozen=True):
    administrators: Annotated[tuple[Sub, ...], Meta(min_length=1, max_length=256)]
    """Subs that get `seca.admin` when the tenant comes into being; later, role assignments rule."""


def administration(ref: Ref, spec: Json, creator: str) -> Companion:
    assignment = {"subs": spec["administrators"], "roles": ["seca.admin"], "scopes": [{}]}
    return Companion("role-assignment", f"{ref.path}/role-assignments/administrators", assignment)


KIND = Kind(
    provider=PROVIDER,
    name="tenant",
    title="Tenant",
    collection="tenants",
    spec=TenantSpec,
    companion=administration,
    deletable=False,
    takes_along=("role", "role-assignment"),
    by_plugin=False,
)
