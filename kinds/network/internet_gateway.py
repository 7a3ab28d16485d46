"""Internet gateway: a route target that connects networks to the internet.

SECA `seca.network/v1` (foundation.network.v1)."""

from secaplane.kinds.network import PROVIDER
from secaplane.model.kind import Kind
from secaplane.model.shape import Wire


class InternetGatewaySpec(Wire, frozen=True):
    egress_only: bool = False


KIND = Kind(
    provider=PROVIDER,
    name="internet-gateway",
    title="InternetGateway",
    collection="tenants/{tenant}/workspaces/{workspace}/internet-gateways",
    spec=InternetGatewaySpec,
)
