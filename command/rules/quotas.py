"""Quotas of a tenant: amounts, limits, and the refusal. Pure.

Counted are the resources of a kind (`instance`), those of one SKU (`instance/DXS`), and the
amounts that kinds declare (`cores`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import NamedTuple

import msgspec

from secaplane.kinds import KINDS, SHARED_TENANT, log_ref, sku_name
from secaplane.kinds.shares import QuotaShare, quota_share
from secaplane.model.errors import QuotaExceeded
from secaplane.model.kind import Kind
from secaplane.model.pointer import at
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource

Specs = Mapping[Ref, Json]
"""Specs of SKUs, by their address in the log."""


class Excess(NamedTuple):
    """One quota that a request exceeds, as the refusal shows it."""

    what: str
    used: int
    asked: int
    limit: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


class QuotaUsage(msgspec.Struct, frozen=True):
    """The quotas of a tenant that concern one kind, and their use; with the specs of the SKUs that
    amounts are read from."""

    limits: Mapping[str, int]
    used: Mapping[str, int]
    skus: Specs


class QuotaViolation(NamedTuple):
    """A recorded PUT that exceeds a quota: its position, and the refusal that answers it."""

    position: Position
    refusal: QuotaExceeded


def limits(tenant: Json, kind: Kind) -> dict[str, int]:
    """The quotas in a tenant's spec that concern a kind."""
    quotas = tenant.get("quotas")
    if not quotas:
        return {}
    all_limits = {what: limit for what, limit in quotas.items() if what != "resources"}
    all_limits |= quotas.get("resources", {})
    amounts_of_kind = {weight.quota for weight in kind.quota}
    return {
        what: limit
        for what, limit in all_limits.items()
        if what in amounts_of_kind or what.partition("/")[0] == kind.name
    }


@cache
def kinds_weighing_alike(kind: str) -> tuple[str, ...]:
    """The kinds that use the same quotas as this one."""
    whats = {weight.quota for weight in KINDS[kind].quota}
    others = (k for k in KINDS.values() if any(weight.quota in whats for weight in k.quota))
    return tuple(sorted({kind, *(each.name for each in others)}))


def skus_of(shares: Iterable[QuotaShare]) -> set[Ref]:
    """The SKUs whose specs say how much the shares use."""
    pairs = ((KINDS[share.kind], share.sku) for share in shares if share.sku)
    return {_sku(kind, name) for kind, name in pairs if any(w.of_sku for w in kind.quota)}


def _sku(kind: Kind, name: str) -> Ref:
    assert kind.sku is not None, f"{kind.name} has no SKU"
    return log_ref(KINDS[kind.sku.to[0]].ref({"tenant": SHARED_TENANT}, name))


def amounts(shares: Iterable[QuotaShare], skus: Specs) -> Counter[str]:
    """The sum of the shares, by quota. An unknown SKU adds nothing."""
    total = Counter[str]()
    for share in shares:
        kind = KINDS[share.kind]
        total[kind.name] += share.number
        if share.sku:
            total[f"{kind.name}/{sku_name(share.sku)}"] += share.number
        for weight in kind.quota:
            if not weight.of_sku:
                total[weight.quota] += share.amount
            elif share.sku and (spec := skus.get(_sku(kind, share.sku))) is not None:
                total[weight.quota] += share.number * (at(spec, weight.at) or 0)
    return total


def excess(
    allowed: Mapping[str, int], used: Mapping[str, int], requested: Counter[str]
) -> list[Excess]:
    """The quotas that a request exceeds. A request that takes no more of one is not refused for it,
    even where it is exceeded already."""
    return [
        Excess(what, used.get(counted, 0), requested[counted], limit)
        for what, limit in allowed.items()
        if requested[counted := _counted(what)] > 0
        and used.get(counted, 0) + requested[counted] > limit
    ]


def _counted(what: str) -> str:
    """A quota as amounts are counted, with the SKU's name in the catalogue; the tenant's spec may
    have an alias."""
    kind, slash, sku = what.partition("/")
    return f"{kind}/{sku_name(sku)}" if slash else what


def refusal(exceeded: list[Excess]) -> QuotaExceeded:
    """One refusal for all exceeded quotas; `meta` shows the first."""
    details = "; ".join(
        f"{each.what}: {each.used} of {each.limit} used, {each.asked} more requested,"
        f" {each.left} left"
        for each in exceeded
    )
    first = exceeded[0]
    return QuotaExceeded(
        f"tenant quota exceeded: {details}; delete resources (each counts until it is gone),"
        " or ask an operator for more",
        meta={"quota": {**first._asdict(), "left": first.left}},
    )


def refuse_over_quota(usage: QuotaUsage | None, ref: Ref, old: Json | None, new: Json) -> None:
    """Raises QuotaExceeded where the new spec needs more than is left."""
    if usage is None:
        return
    requested = amounts([quota_share(ref, new)], usage.skus)
    if old is not None:
        requested.subtract(amounts([quota_share(ref, old)], usage.skus))
    exceeded = excess(usage.limits, usage.used, requested)
    if exceeded:
        raise refusal(exceeded)


class Change(NamedTuple):
    """The change of one resource's share at one position."""

    position: Position
    shares: tuple[QuotaShare, ...]

    @property
    def grows(self) -> bool:
        return any(each.number > 0 or each.amount > 0 for each in self.shares)

    def reverts(self, former: "Change") -> bool:
        """True if this is the exact opposite of another change."""
        opposite = (each._replace(number=-each.number, amount=-each.amount) for each in self.shares)
        return set(opposite) == set(former.shares)


def unreturned(changes: Iterable[tuple[Position, QuotaShare]]) -> list[Change]:
    """The changes of one resource in order, without those that were reverted since."""
    remaining: list[Change] = []
    for position, group in groupby(changes, lambda each: each[0]):
        change = Change(position, tuple(share for _, share in group))
        if len(remaining) > 1 and change.reverts(remaining[-1]):
            remaining.pop()
        else:
            remaining.append(change)
    return remaining


def needs_recheck(before: Resource | None, now: Resource) -> bool:
    """True if a PUT may take more than any check has covered: it created or grew the resource, or
    an earlier PUT was not reported on yet."""
    if before is None or before.observed_position < before.last_intent:
        return True
    return before.spec != now.spec and quota_share(before.ref, before.spec) != quota_share(
        now.ref, now.spec
    )
