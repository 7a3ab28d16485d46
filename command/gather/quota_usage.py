"""What a tenant has taken, as the read model knows it, and whether that was too much.

A quota is checked twice. Before the append: is there room, as far as the read model knows. After
it, at a read model that has the event: was there room at its position. That has one answer, whoever
asks and whenever: what was not gone then counts, by the quotas and SKUs of then. So of what is let
in, the last one has counted all the others (docs/decisions/020).
"""

from collections.abc import Mapping
from typing import NamedTuple

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.commands import Put, Revert
from secaplane.command.rules.quotas import (
    QuotaUsage,
    amounts,
    excess,
    kinds_weighing_alike,
    limits,
    refusal,
    skus_of,
    unreturned,
)
from secaplane.kinds import KINDS
from secaplane.kinds.shares import quota_share
from secaplane.model.errors import QuotaExceeded, Unavailable
from secaplane.model.evolve import fold
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource


class QuotaViolation(NamedTuple):
    """What was too much: where it was asked for, and what is answered."""

    position: Position
    refusal: QuotaExceeded


def tenant_of(ref: Ref) -> Ref:
    """The tenant that a resource counts against."""
    return Ref("tenant", f"tenants/{ref.scope('tenants')}")


async def quota_limits(
    dependencies: CommandDependencies, ref: Ref, *, from_cache: bool
) -> Mapping[str, int]:
    """The quotas that concern a resource. Believing, they may be some seconds old: what has quotas
    for the first time is asked again, what has had some is asked now.

    Raises:
        Unanswered: the log cannot say.
    """
    kind = KINDS[ref.kind]
    if not kind.counted:
        return {}
    tenant = await dependencies.cache.recent(tenant_of(ref))
    if tenant is not None and not from_cache and "quotas" in tenant.spec:
        tenant = await dependencies.cache.current(tenant.ref)
    return {} if tenant is None else limits(tenant.spec, kind)


async def quota_usage(
    dependencies: CommandDependencies, ref: Ref, spec: Json, *, from_cache: bool
) -> QuotaUsage | None:
    """What the first check looks at; None where there is no quota.

    Raises:
        Unanswered: the log cannot say.
    """
    allowed = await quota_limits(dependencies, ref, from_cache=from_cache)
    if not allowed:
        return None
    taken = await dependencies.usage.taken(ref.scope("tenants"), kinds_weighing_alike(ref.kind))
    skus = dict[Ref, Json]()
    for sku in skus_of([*taken, quota_share(ref, spec)]):
        found = await dependencies.cache.recent(sku)
        if found is not None:
            skus[sku] = found.spec
    return QuotaUsage(allowed, amounts(taken, skus), skus)


async def quota_violation(
    dependencies: CommandDependencies, resource: Resource
) -> QuotaViolation | None:
    """The second check, of what no report has had in view. The read model must have reached the
    resource's last intent. Its last growth stands for all before, which count against it.

    Raises:
        Unavailable: the read model does not know it.
    """
    kind, tenant = KINDS[resource.ref.kind], tenant_of(resource.ref)
    changes = await dependencies.usage.changes(
        tenant.name, kind.name, life=resource.life, up_to=resource.position
    )
    if not changes:
        raise Unavailable("the read model does not count it; look again")
    unseen = [each for each in unreturned(changes) if each.position > resource.observed_position]
    grown = [each.position for each in unseen if each.grows]
    if not grown:
        return None
    asked, position = [quota_share for each in unseen for quota_share in each.shares], grown[-1]
    taken = await dependencies.usage.taken(tenant.name, kinds_weighing_alike(kind.name), position)
    specs = await dependencies.usage.specs([tenant, *skus_of([*taken, *asked])], position)
    more, used = amounts(asked, specs), amounts(taken, specs)
    used.subtract(more)
    found = excess(limits(specs.get(tenant, {}), kind), used, more)
    return QuotaViolation(position, refusal(found)) if found else None


async def reverting(
    dependencies: CommandDependencies, resource: Resource, found: QuotaViolation
) -> Revert:
    """The whole life, or what it grew by.

    Raises:
        Unanswered: the log cannot say.
    """
    if found.position == resource.life:
        return Revert(expected=resource.version)
    history = await dependencies.log.read(resource.ref, after=resource.life.moved(-1))
    former = fold(each for each in history if each.position < found.position)
    assert former is not None, f"{resource.ref} grew before it was created"
    to = Put(
        spec=former.spec,
        labels=former.labels,
        annotations=former.annotations,
        extensions=former.extensions,
    )
    return Revert(to=to, expected=resource.version)
