"""What a tenant has taken, as the read model knows it, and whether that was too much.

A quota is checked twice. Before the append: is there room, as far as the read model knows. After
it, at a read model that has the event: was there room at its position. That has one answer, whoever
asks and whenever: what was not gone then counts, by the quotas and SKUs of then. So of what is let
in, the last one has counted all the others (docs/decisions/020).
"""

from collections.abc import Mapping
from typing import NamedTuple

from secaplane.command.dependencies import Door
from secaplane.command.rules.commands import Put, TakeBack
from secaplane.command.rules.quotas import (
    Standing,
    amounts,
    excess,
    limits,
    refusal,
    sharers,
    skus_of,
    unreturned,
)
from secaplane.kinds import KINDS
from secaplane.kinds.shares import share
from secaplane.model.errors import OverQuota, Unavailable
from secaplane.model.evolve import fold
from secaplane.model.shape import Json, Position, Ref, Resource


class Over(NamedTuple):
    """What was too much: where it was asked for, and what is answered."""

    position: Position
    refusal: OverQuota


def home(ref: Ref) -> Ref:
    """The tenant that a resource counts against."""
    return Ref("tenant", f"tenants/{ref.scope('tenants')}")


async def limited(door: Door, ref: Ref, *, believing: bool) -> Mapping[str, int]:
    """The quotas that concern a resource. Believing, they may be some seconds old: what has quotas
    for the first time is asked again, what has had some is asked now.

    Raises:
        Unanswered: the log cannot say.
    """
    kind = KINDS[ref.kind]
    if not kind.counted:
        return {}
    tenant = await door.folds.lately(home(ref))
    if tenant is not None and not believing and "quotas" in tenant.spec:
        tenant = await door.folds.fresh(tenant.ref)
    return {} if tenant is None else limits(tenant.spec, kind)


async def standing(door: Door, ref: Ref, spec: Json, *, believing: bool) -> Standing | None:
    """What the first check looks at; None where there is no quota.

    Raises:
        Unanswered: the log cannot say.
    """
    allowed = await limited(door, ref, believing=believing)
    if not allowed:
        return None
    taken = await door.usage.taken(ref.scope("tenants"), sharers(ref.kind))
    skus = dict[Ref, Json]()
    for sku in skus_of([*taken, share(ref, spec)]):
        found = await door.folds.lately(sku)
        if found is not None:
            skus[sku] = found.spec
    return Standing(allowed, amounts(taken, skus), skus)


async def over(door: Door, resource: Resource) -> Over | None:
    """The second check, of what no report has had in view. The read model must have reached the
    resource's last intent. Its last growth stands for all before, which count against it.

    Raises:
        Unavailable: the read model does not know it.
    """
    kind, tenant = KINDS[resource.ref.kind], home(resource.ref)
    changes = await door.usage.changes(
        tenant.name, kind.name, life=resource.life, up_to=resource.position
    )
    if not changes:
        raise Unavailable("the read model does not count it; look again")
    unseen = [each for each in unreturned(changes) if each.position > resource.seen]
    grown = [each.position for each in unseen if each.grows]
    if not grown:
        return None
    asked, position = [share for each in unseen for share in each.shares], grown[-1]
    taken = await door.usage.taken(tenant.name, sharers(kind.name), position)
    specs = await door.usage.specs([tenant, *skus_of([*taken, *asked])], position)
    more, used = amounts(asked, specs), amounts(taken, specs)
    used.subtract(more)
    found = excess(limits(specs.get(tenant, {}), kind), used, more)
    return Over(position, refusal(found)) if found else None


async def taking_back(door: Door, resource: Resource, found: Over) -> TakeBack:
    """The whole life, or what it grew by.

    Raises:
        Unanswered: the log cannot say.
    """
    if found.position == resource.life:
        return TakeBack(expected=resource.version)
    history = await door.log.read(resource.ref, after=Position(resource.life - 1))
    former = fold(each for each in history if each.position < found.position)
    assert former is not None, f"{resource.ref} grew before it was created"
    to = Put(
        spec=former.spec,
        labels=former.labels,
        annotations=former.annotations,
        extensions=former.extensions,
    )
    return TakeBack(to=to, expected=resource.version)
