"""Instance: a virtual machine. Its power is not part of the spec; actions start and stop it.

SECA `seca.compute/v1` (foundation.compute.v1)."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.compute import PROVIDER
from secaplane.model.kind import DerivedStatus, Kind, Link, QuotaWeight, Secrets, SpecRules
from secaplane.model.power import ACTIONS
from secaplane.model.shape import PowerState, Reference, Status, Wire, Zone


class VolumeReference(Wire, frozen=True):
    device_ref: Reference
    type: Literal["virtio"] = "virtio"


class InstanceSpec(Wire, frozen=True):
    sku_ref: Reference
    zone: Zone
    boot_volume: VolumeReference
    data_volumes: Annotated[tuple[VolumeReference, ...], Meta(max_length=64)] | UnsetType = UNSET
    primary_nic_ref: Reference | UnsetType = UNSET
    additional_nic_refs: Annotated[tuple[Reference, ...], Meta(max_length=16)] | UnsetType = UNSET
    security_group_ref: Reference | UnsetType = UNSET
    anti_affinity_group: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    ssh_keys: (
        Annotated[
            tuple[Annotated[str, Meta(min_length=1, max_length=4096)], ...], Meta(max_length=32)
        ]
        | UnsetType
    ) = UNSET
    user_data: Annotated[str, Meta(max_length=65536)] | UnsetType = UNSET


class InstanceStatus(Status, frozen=True):
    power_state: PowerState
    power_state_since: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    """Derived by the control plane from the actions; a plugin does not report it."""


BOOT, DATA = "/bootVolume/deviceRef", "/dataVolumes/*/deviceRef"
"""A data volume belongs to one instance, once; a volume may boot several."""
NIC, MORE_NICS = "/primaryNicRef", "/additionalNicRefs/*"

KIND = Kind(
    provider=PROVIDER,
    name="instance",
    title="Instance",
    collection="tenants/{tenant}/workspaces/{workspace}/instances",
    spec=InstanceSpec,
    status=InstanceStatus,
    rules=SpecRules(immutable=("/skuRef", "/zone"), zones=("/zone",)),
    links=(
        Link(at="/skuRef", to=("instance-sku",)),
        Link(at=BOOT, to=("block-storage",), excludes=(DATA,), blocks_deletion=True),
        Link(at=DATA, to=("block-storage",), excludes=(BOOT, DATA), blocks_deletion=True),
        Link(at=NIC, to=("nic",), excludes=(NIC, MORE_NICS), blocks_deletion=True),
        Link(at=MORE_NICS, to=("nic",), excludes=(NIC, MORE_NICS), blocks_deletion=True),
        Link(at="/securityGroupRef", to=("security-group",)),
    ),
    actions=tuple(ACTIONS),
    secrets=Secrets(spec=("/userData",)),
    quota=(QuotaWeight("cores", "/vCPU", of_sku=True), QuotaWeight("ramGB", "/ram", of_sku=True)),
    derived=DerivedStatus(initial=lambda spec: {"powerState": "off"}),
)
