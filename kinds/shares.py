"""Quota shares: the amounts that a resource takes of its tenant's quotas. Pure."""

from typing import NamedTuple

from secaplane.kinds import KINDS, sku_name
from secaplane.model.pointer import at
from secaplane.model.shape import Json, Ref


class QuotaShare(NamedTuple):
    """The amounts that resources of one kind and SKU take of their tenant's quotas."""

    kind: str
    sku: str
    """Name of the SKU; empty for kinds without one."""
    number: int
    """Number of resources."""
    amount: int
    """Sum of the amounts in their own specs; those in the SKU's spec are added by the reader."""


def quota_share(ref: Ref, spec: Json) -> QuotaShare:
    """The share of one resource. The SKU's name is the end of every form of reference; an alias
    counts as the SKU that it means."""
    kind = KINDS[ref.kind]
    reference = spec.get("skuRef", "") if kind.sku else ""
    text = reference if isinstance(reference, str) else reference["resource"]
    amount = at(spec, kind.amount_at) or 0 if kind.amount_at else 0  # none where it was erased
    return QuotaShare(kind.name, sku_name(text.rpartition("/")[2]), 1, amount)


QUOTA_SOURCES = frozenset(
    {"tenant"}
    | {
        name
        for kind in KINDS.values()
        if kind.sku is not None and any(weight.of_sku for weight in kind.quota)
        for name in kind.sku.to
    }
)
"""The kinds whose specs decide about quotas: tenants (what is allowed) and the SKUs that say how
much a resource takes."""
