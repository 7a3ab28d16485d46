"""A pool of a cluster's nodes. Each is an instance of its own, with a volume and a NIC."""

from collections.abc import Iterator
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from kinds.kubernetes import PROVIDER
from model.kind import Companion, Kind, Link
from model.shape import Json, Reference, Resource, Status, Wire, Zone

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
    nodes: Annotated[tuple[Reference, ...], Meta(max_length=1000)] | UnsetType = UNSET


def nodes(pool: Resource) -> Iterator[Companion]:
    """A volume, a NIC and an instance for each node, in the order in which they are made; the life
    of the pool is in their names, so that they meet nobody else's."""
    workspace = "/".join(pool.ref.path.split("/")[:4])
    template = pool.spec["nodeTemplate"]
    groups = [template["securityGroupRef"]] if "securityGroupRef" in template else []
    for n in range(pool.spec["instances"]):
        name = f"{pool.ref.name[:40].rstrip('.-')}-{pool.uid[:8]}-{n}"
        nic: Json = {"subnetRef": template["subnetRef"], "addresses": ["0.0.0.0"]}
        if groups:
            nic["securityGroupRefs"] = groups
        instance = {
            "skuRef": template["skuRef"],
            "zone": template["zone"],
            "bootVolume": {"deviceRef": {"resource": f"block-storages/{name}"}, "type": "virtio"},
            "primaryNicRef": {"resource": f"nics/{name}"},
        }
        yield Companion(
            "block-storage", f"{workspace}/block-storages/{name}", template["rootVolume"]
        )
        yield Companion("nic", f"{workspace}/nics/{name}", nic)
        yield Companion("instance", f"{workspace}/instances/{name}", instance, action="start")


KIND = Kind(
    provider=PROVIDER,
    name="kubernetes-node-pool",
    title="NodePool",
    collection="tenants/{tenant}/workspaces/{workspace}/clusters/{cluster}/node-pools",
    spec=KubernetesNodePoolSpec,
    status=KubernetesNodePoolStatus,
    immutable=(
        "/nodeTemplate/skuRef",
        "/nodeTemplate/zone",
        "/nodeTemplate/rootVolume/skuRef",
    ),
    zones=("/nodeTemplate/zone",),
    links=(
        Link(at="/nodeTemplate/skuRef", to=("instance-sku",)),
        Link(at="/nodeTemplate/rootVolume/skuRef", to=("storage-sku",)),
        Link(at="/nodeTemplate/subnetRef", to=("subnet",)),
        Link(at="/nodeTemplate/securityGroupRef", to=("security-group",)),
    ),
    brood=nodes,
)
