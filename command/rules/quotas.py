"""How much of what a tenant may have. Pure.

What is counted is the number of resources of a kind (`instance`), of those of one SKU
(`instance/seca.dxs`), and what kinds weigh besides (`cores`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import NamedTuple

import msgspec

from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.kinds.shares import QuotaShare, quota_share
from secaplane.model.errors import QuotaExceeded
from secaplane.model.kind import Kind
from secaplane.model.pointer import at
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref, Resource

Specs = Mapping[Ref, Json]
"""Of SKUs, by where they lie in the log."""


class Excess(NamedTuple):
    """What was asked for and cannot be had."""

    what: str
    used: int
    asked: int
    limit: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


class QuotaUsage(msgspec.Struct, frozen=True):
    """How a tenant stands: what it may have, what it has, and what its SKUs hold."""

    limits: Mapping[str, int]
    used: Mapping[str, int]
    skus: Specs


def limits(tenant: Json, kind: Kind) -> dict[str, int]:
    """Those of a tenant's spec that concern a kind."""
    quotas = tenant.get("quotas")
    if not quotas:
        return {}
    said = {what: most for what, most in quotas.items() if what != "resources"}
    said |= quotas.get("resources", {})
    weighed = {weight.quota for weight in kind.quota}
    return {
        what: most
        for what, most in said.items()
        if what in weighed or what.partition("/")[0] == kind.name
    }


@cache
def kinds_weighing_alike(kind: str) -> tuple[str, ...]:
    """The kinds that take of what this one takes of."""
    whats = {weight.quota for weight in KINDS[kind].quota}
    others = (k for k in KINDS.values() if any(weight.quota in whats for weight in k.quota))
    return tuple(sorted({kind, *(each.name for each in others)}))


def skus_of(shares: Iterable[QuotaShare]) -> set[Ref]:
    """The SKUs whose specs say what those weigh."""
    found = ((KINDS[each.kind], each.sku) for each in shares if each.sku)
    return {_sku(kind, name) for kind, name in found if any(w.of_sku for w in kind.quota)}


def _sku(kind: Kind, name: str) -> Ref:
    assert kind.sku is not None, f"{kind.name} has no SKU"
    return KINDS[kind.sku.to[0]].ref({"tenant": SHARED_TENANT}, name)


def amounts(shares: Iterable[QuotaShare], skus: Specs) -> Counter[str]:
    """What they are, all together. A SKU that nobody knows weighs nothing."""
    found = Counter[str]()
    for each in shares:
        kind = KINDS[each.kind]
        found[kind.name] += each.number
        if each.sku:
            found[f"{kind.name}/{each.sku}"] += each.number
        for weight in kind.quota:
            if not weight.of_sku:
                found[weight.quota] += each.amount
            elif each.sku and (spec := skus.get(_sku(kind, each.sku))) is not None:
                found[weight.quota] += each.number * (at(spec, weight.at) or 0)
    return found


def excess(
    allowed: Mapping[str, int], used: Mapping[str, int], asked: Counter[str]
) -> list[Excess]:
    """Who asks for no more of something is not refused for it, however much there is."""
    return [
        Excess(what, used.get(what, 0), asked[what], most)
        for what, most in allowed.items()
        if asked[what] > 0 and used.get(what, 0) + asked[what] > most
    ]


def refusal(found: list[Excess]) -> QuotaExceeded:
    """Of all that is too much; `meta` shows the first."""
    said = "; ".join(
        f"{each.what}: {each.used} of {each.limit} are used, {each.asked} more are asked for,"
        f" {each.left} are left"
        for each in found
    )
    first = found[0]
    return QuotaExceeded(
        f"over the tenant's quota: {said}; delete something (it counts until it is gone),"
        " or ask an operator for more",
        meta={"quota": {**first._asdict(), "left": first.left}},
    )


def refuse_over(standing: QuotaUsage | None, ref: Ref, old: Json | None, new: Json) -> None:
    """Raises OverQuota where the new spec asks for more than is left."""
    if standing is None:
        return
    asked = amounts([quota_share(ref, new)], standing.skus)
    if old is not None:
        asked.subtract(amounts([quota_share(ref, old)], standing.skus))
    found = excess(standing.limits, standing.used, asked)
    if found:
        raise refusal(found)


class Change(NamedTuple):
    """What one resource took at one position, or gave back."""

    position: Position
    shares: tuple[QuotaShare, ...]

    @property
    def grows(self) -> bool:
        return any(each.number > 0 or each.amount > 0 for each in self.shares)

    def returns(self, former: "Change") -> bool:
        """Whether it is that one turned round."""
        turned = (each._replace(number=-each.number, amount=-each.amount) for each in self.shares)
        return set(turned) == set(former.shares)


def unreturned(changes: Iterable[tuple[Position, QuotaShare]]) -> list[Change]:
    """What a resource took, in order, without what it has given back since."""
    found: list[Change] = []
    for position, some in groupby(changes, lambda each: each[0]):
        change = Change(position, tuple(quota_share for _, quota_share in some))
        if len(found) > 1 and change.returns(found[-1]):
            found.pop()
        else:
            found.append(change)
    return found


def needs_recheck(before: Resource | None, now: Resource) -> bool:
    """Whether what is wanted now may be more than was ever judged."""
    if before is None or before.observed_position < before.last_intent:
        return True
    return before.spec != now.spec and quota_share(before.ref, before.spec) != quota_share(
        now.ref, now.spec
    )
