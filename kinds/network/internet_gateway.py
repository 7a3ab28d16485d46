"""A way to the internet, for route tables to point to."""

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
