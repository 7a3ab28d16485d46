"""Kubernetes cluster SKU: a version and type of cluster in the catalogue.

SECA `seca.kubernetes/v1beta1` (extensions.kubernetes.v1beta1)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from secaplane.kinds.kubernetes import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire

Moment = Annotated[datetime, Meta(tz=True)]


class KubernetesClusterSkuSpec(Wire, frozen=True):
    version: Annotated[str, Meta(min_length=1, max_length=16)]
    type: Literal["dedicated", "shared"]
    automatic_update_policy: Literal["none", "stable", "preview"]
    released_at: Moment
    end_of_life_at: Moment


KIND = Kind(
    provider=PROVIDER,
    name="kubernetes-cluster-sku",
    title="Sku",
    collection="tenants/{tenant}/skus",
    spec=KubernetesClusterSkuSpec,
    backing=Backing.CATALOGUE,
)
