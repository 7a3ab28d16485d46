"""Security group: a firewall; traffic that no rule allows is denied.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.kinds.network.security_group_rule import SOURCES, SecurityGroupRuleSpec, broken_in
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import AbsentMeansAll, Kind, Link, SpecRules
from secaplane.model.shape import Json, PartStatus, Reference, Status, Wire

RULES_MAX = 500


class SecurityGroupSpec(Wire, frozen=True):
    rules: Annotated[tuple[SecurityGroupRuleSpec, ...], Meta(max_length=RULES_MAX)] | UnsetType = (
        UNSET
    )
    rule_refs: Annotated[tuple[Reference, ...], Meta(max_length=RULES_MAX)] | UnsetType = UNSET
    """In addition to `rules`."""


class SecurityGroupStatus(Status, frozen=True):
    rules: Annotated[tuple[PartStatus, ...], Meta(max_length=RULES_MAX)] | UnsetType = UNSET
    """One for each rule, in their order, then one for each reference."""


def rules_are_consistent(spec: Json) -> Iterable[BrokenRule]:
    for n, rule in enumerate(spec.get("rules", ())):
        yield from broken_in(rule, f"/spec/rules/{n}")


KIND = Kind(
    provider=PROVIDER,
    name="security-group",
    title="SecurityGroup",
    collection="tenants/{tenant}/workspaces/{workspace}/security-groups",
    spec=SecurityGroupSpec,
    status=SecurityGroupStatus,
    rules=SpecRules(
        # use cases of the Terraform provider, which has no other rules, send an empty list
        absent_means_all=(AbsentMeansAll("/rules/*/sourceRef", accepted=True),),
        check=rules_are_consistent,
    ),
    links=(
        Link(at="/ruleRefs/*", to=("security-group-rule",), affects_status=True),
        Link(at="/rules/*/sourceRef/*", to=SOURCES, strict=False, allows_address=True),
    ),
)
