"""Public IP: an address on the internet that a NIC or a NAT gateway can use.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable

from msgspec import UNSET, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import IpVersion, MaybeAddress, version
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import DerivedStatus, Kind, SpecRules
from secaplane.model.shape import Json, Reference, Status, Wire


class PublicIpSpec(Wire, frozen=True):
    version: IpVersion
    address: MaybeAddress | UnsetType = UNSET
    """Only for an address that the user owns; otherwise the cloud chooses one."""


class PublicIpStatus(Status, frozen=True):
    ip_address: MaybeAddress | UnsetType = UNSET
    attached_to: Reference | UnsetType = UNSET  # derived from its referrers, not reported


def matches_version(spec: Json) -> Iterable[BrokenRule]:
    family = version(spec.get("address", ""))
    if family is not None and spec["version"] != f"IPv{family}":
        yield BrokenRule(
            f"is an IPv{family} address, and version is {spec['version']}", "/spec/address"
        )


KIND = Kind(
    provider=PROVIDER,
    name="public-ip",
    title="PublicIp",
    collection="tenants/{tenant}/workspaces/{workspace}/public-ips",
    spec=PublicIpSpec,
    status=PublicIpStatus,
    rules=SpecRules(check=matches_version),
    derived=DerivedStatus(attached_to=True),
)
