"""A public address."""

from msgspec import UNSET, UnsetType

from kinds.network import PROVIDER
from model.address import IpVersion, MaybeAddress
from model.kind import Kind
from model.shape import Reference, Status, Wire


class PublicIpSpec(Wire, frozen=True):
    version: IpVersion
    address: MaybeAddress | UnsetType = UNSET
    """Only for an address that the user brings along."""


class PublicIpStatus(Status, frozen=True):
    ip_address: MaybeAddress | UnsetType = UNSET
    attached_to: Reference | UnsetType = UNSET
    """Known from who uses it; a plugin does not report it."""


KIND = Kind(
    provider=PROVIDER,
    name="public-ip",
    title="PublicIp",
    collection="tenants/{tenant}/workspaces/{workspace}/public-ips",
    spec=PublicIpSpec,
    status=PublicIpStatus,
    attachable=True,
)
