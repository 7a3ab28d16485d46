"""Node pool: equal nodes of a Kubernetes cluster; each is an instance with a volume and a NIC.

SECA `seca.kubernetes/v1beta1` (extensions.kubernetes.v1beta1)."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.kubernetes import PROVIDER
from secaplane.kinds.storage.block_storage import GIGABYTES_MAX
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import (
    CompanionResource,
    Kind,
    Link,
    OwnedResources,
    Ownership,
    SpecRules,
)
from secaplane.model.shape import Json, Ref, Reference, Resource, Status, Wire, Zone

NODES_MAX = 1000
NAME_LENGTH_MAX = 40
Text = Annotated[str, Meta(min_length=1, max_length=63)]


class RootVolume(Wire, frozen=True):
    sku_ref: Reference
    size_gb: Annotated[int, Meta(ge=20)] = msgspec.field(name="sizeGB")


class NodeTemplate(Wire, frozen=True):
    sku_ref: Reference
    subnet_ref: Reference
    zone: Zone
    root_volume: RootVolume
    security_group_ref: Reference | UnsetType = UNSET


class Taint(Wire, frozen=True):
    key: Text
    value: Text
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class KubernetesNodePoolSpec(Wire, frozen=True):
    instances: Annotated[int, Meta(ge=1, le=5000)]
    node_template: NodeTemplate
    taints: Annotated[tuple[Taint, ...], Meta(max_length=50)] | UnsetType = UNSET


class KubernetesNodePoolStatus(Status, frozen=True):
    nodes: Annotated[tuple[Reference, ...], Meta(max_length=NODES_MAX)] | UnsetType = UNSET


def nodes(pool: Resource) -> OwnedResources:
    """A volume, a NIC and an instance for each node. Their names contain the uid of the pool, so
    that they collide with no other resource."""
    template = pool.spec["nodeTemplate"]
    groups = [template["securityGroupRef"]] if "securityGroupRef" in template else []
    name_prefix = f"{pool.ref.name[:NAME_LENGTH_MAX].rstrip('.-')}-{pool.uid[:8]}-"
    above = "/".join(pool.ref.path.split("/")[:4])
    members = []
    for name in (f"{name_prefix}{n}" for n in range(pool.spec["instances"])):
        nic: Json = {"subnetRef": template["subnetRef"]}
        instance = {
            "skuRef": template["skuRef"],
            "zone": template["zone"],
            "bootVolume": {"deviceRef": {"resource": f"block-storages/{name}"}, "type": "virtio"},
            "primaryNicRef": {"resource": f"nics/{name}"},
        }
        volume = f"{above}/block-storages/{name}"
        members += [
            CompanionResource("block-storage", volume, template["rootVolume"]),
            CompanionResource("nic", f"{above}/nics/{name}", nic | {"securityGroupRefs": groups}),
            CompanionResource("instance", f"{above}/instances/{name}", instance, action="start"),
        ]
    return OwnedResources(name_prefix, members)


def shown(members: Sequence[Ref]) -> Json:
    instances = [{"resource": f"instances/{m.name}"} for m in members if m.kind == "instance"]
    return {"nodes": instances[:NODES_MAX]}


def root_volume_fits(spec: Json) -> Iterable[BrokenRule]:
    """The standard sets no upper limit, but each root volume becomes a block storage."""
    if spec["nodeTemplate"]["rootVolume"]["sizeGB"] > GIGABYTES_MAX:
        yield BrokenRule(
            f"becomes a block storage, which has at most {GIGABYTES_MAX} GB",
            "/spec/nodeTemplate/rootVolume/sizeGB",
        )


KIND = Kind(
    provider=PROVIDER,
    name="kubernetes-node-pool",
    title="NodePool",
    collection="tenants/{tenant}/workspaces/{workspace}/clusters/{cluster}/node-pools",
    spec=KubernetesNodePoolSpec,
    status=KubernetesNodePoolStatus,
    rules=SpecRules(
        immutable=(
            "/nodeTemplate/skuRef",
            "/nodeTemplate/zone",
            "/nodeTemplate/rootVolume/skuRef",
        ),
        zones=("/nodeTemplate/zone",),
        check=root_volume_fits,
    ),
    links=(
        Link(at="/nodeTemplate/skuRef", to=("instance-sku",)),
        Link(at="/nodeTemplate/rootVolume/skuRef", to=("storage-sku",)),
        Link(at="/nodeTemplate/subnetRef", to=("subnet",)),
        Link(at="/nodeTemplate/securityGroupRef", to=("security-group",)),
    ),
    owned=Ownership(members=nodes, status=shown),
)
