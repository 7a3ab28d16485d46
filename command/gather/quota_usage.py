"""Quota checks on the read model: one before the append, one after it.

Before the append: is there room, as far as the read model knows. After it, at a read model that has
reached the event: was there room at its position. The second check has the same result in every
process and at any later time: it counts the resources that were not gone at that position, by the
quotas and SKUs of that position. So of the PUTs that are accepted, the last one has counted all
others (docs/decisions/020).
"""

from collections.abc import Mapping

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.commands import Put, Revert
from secaplane.command.rules.quotas import (
    QuotaUsage,
    QuotaViolation,
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
from secaplane.model.errors import Unavailable
from secaplane.model.evolve import fold
from secaplane.model.shape import Json, Ref, Resource


def tenant_of(ref: Ref) -> Ref:
    """The tenant whose quotas a resource uses."""
    return Ref("tenant", f"tenants/{ref.scope('tenants')}")


async def quota_limits(
    dependencies: CommandDependencies, ref: Ref, *, from_cache: bool
) -> Mapping[str, int]:
    """The quotas that concern a resource. Those of a tenant may be RECENT_S seconds old, if it has
    none or `from_cache` is set; otherwise they are current.

    Raises:
        LogUnavailable: the log did not answer.
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
    """The data of the check before the append; None where there is no quota.

    Raises:
        LogUnavailable: the log did not answer.
    """
    allowed = await quota_limits(dependencies, ref, from_cache=from_cache)
    if not allowed:
        return None
    taken = await dependencies.usage.taken(ref.scope("tenants"), kinds_weighing_alike(ref.kind))
    skus = dict[Ref, Json]()
    for sku in skus_of([*taken, quota_share(ref, spec)]):
        resource = await dependencies.cache.recent(sku)
        if resource is not None:
            skus[sku] = resource.spec
    return QuotaUsage(allowed, amounts(taken, skus), skus)


async def quota_violation(
    dependencies: CommandDependencies, resource: Resource
) -> QuotaViolation | None:
    """The check after the append, of every intent that no report covers yet. The read model must
    have reached the last one. The last growth stands for all before it, which count against it.

    Raises:
        Unavailable: the read model does not have the resource.
    """
    kind, tenant = KINDS[resource.ref.kind], tenant_of(resource.ref)
    changes = await dependencies.usage.changes(
        tenant.name, kind.name, life=resource.life, up_to=resource.position
    )
    if not changes:
        raise Unavailable("the read model does not count the resource yet; try again")
    unseen = [each for each in unreturned(changes) if each.position > resource.observed_position]
    grown = [each.position for each in unseen if each.grows]
    if not grown:
        return None
    requested, position = [share for each in unseen for share in each.shares], grown[-1]
    taken = await dependencies.usage.taken(tenant.name, kinds_weighing_alike(kind.name), position)
    specs = await dependencies.usage.specs([tenant, *skus_of([*taken, *requested])], position)
    more, used = amounts(requested, specs), amounts(taken, specs)
    used.subtract(more)
    exceeded = excess(limits(specs.get(tenant, {}), kind), used, more)
    return QuotaViolation(position, refusal(exceeded)) if exceeded else None


async def reverting(
    dependencies: CommandDependencies, resource: Resource, violation: QuotaViolation
) -> Revert:
    """The compensating command for a violation: it deletes the resource, or restores the desired
    state before the growth.

    Raises:
        LogUnavailable: the log did not answer.
    """
    if violation.position == resource.life:
        return Revert(expected=resource.version)
    history = await dependencies.log.read(resource.ref, after=resource.life.moved(-1))
    former = fold(each for each in history if each.position < violation.position)
    assert former is not None, f"{resource.ref} grew before it was created"
    to = Put(
        spec=former.spec,
        labels=former.labels,
        annotations=former.annotations,
        extensions=former.extensions,
    )
    return Revert(to=to, expected=resource.version)
