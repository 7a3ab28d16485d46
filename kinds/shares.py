"""The share of its tenant's quotas that a resource takes. Pure."""

from typing import NamedTuple

from secaplane.kinds import KINDS
from secaplane.model.pointer import at
from secaplane.model.shape import Json, Ref


class QuotaShare(NamedTuple):
    """What resources of one kind and SKU take of what their tenant may have."""

    kind: str
    sku: str
    """Its name; empty where there is none."""
    number: int
    amount: int
    """By their own specs; what they weigh by their SKU's is worked out where it is asked for."""


def quota_share(ref: Ref, spec: Json) -> QuotaShare:
    """What one resource takes. However a reference is spelled, it ends in the name."""
    kind = KINDS[ref.kind]
    reference = spec.get("skuRef", "") if kind.sku else ""
    said = reference if isinstance(reference, str) else reference["resource"]
    amount = at(spec, kind.amount_at) if kind.amount_at else 0
    return QuotaShare(kind.name, said.rpartition("/")[2], 1, amount)
