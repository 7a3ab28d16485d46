"""Kubernetes cluster: a managed control plane of Kubernetes; node pools add its nodes.

SECA `seca.kubernetes/v1beta1` (extensions.kubernetes.v1beta1)."""

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.kubernetes import PROVIDER
from secaplane.model.address import AddressOrCidr, AnyCidr
from secaplane.model.kind import (
    SCOPE_LENGTH_MAX,
    AbsentMeansAll,
    Kind,
    Link,
    Secrets,
    SpecRules,
)
from secaplane.model.shape import Reference, Status, Wire


class KubernetesClusterSpec(Wire, frozen=True):
    sku_ref: Reference
    pod_cidr: AnyCidr | UnsetType = UNSET
    service_cidr: AnyCidr | UnsetType = UNSET
    restrict_kubernetes_api: (
        Annotated[tuple[AddressOrCidr, ...], Meta(max_length=100)] | UnsetType
    ) = UNSET
    """Addresses that may reach the API; absent: all."""


class KubernetesClusterStatus(Status, frozen=True):
    kube_config: Annotated[str, Meta(max_length=65536)] | UnsetType = UNSET


KIND = Kind(
    provider=PROVIDER,
    name="kubernetes-cluster",
    title="Cluster",
    collection="tenants/{tenant}/workspaces/{workspace}/clusters",
    name_length_max=SCOPE_LENGTH_MAX,
    spec=KubernetesClusterSpec,
    status=KubernetesClusterStatus,
    rules=SpecRules(
        immutable=("/skuRef",), absent_means_all=(AbsentMeansAll("/restrictKubernetesApi"),)
    ),
    links=(Link(at="/skuRef", to=("kubernetes-cluster-sku",)),),
    secrets=Secrets(status=("/kubeConfig",)),
)
