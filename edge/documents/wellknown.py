"""Where the global providers are, for whoever knows nothing but our address; without a token."""

import msgspec
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.serving.fixed import fixed
from secaplane.kinds import PROVIDERS
from secaplane.model.shape import Json

PATH = "/.wellknown/secapi"
PATHS = [PATH, "/.well-known/secapi"]
"""The standard's own spelling, and that of RFC 8615."""
NAMESPACE = "seca."


def routes(base_url: str) -> list[HTTPRouteHandler]:
    return [fixed(PATHS, msgspec.json.encode(body(base_url)), "application/json")]


def body(base_url: str) -> Json:
    """Regional providers are found through their region, our own in our own pages."""
    return {
        "version": "v1",
        "endpoints": [
            {"provider": each.full_name, "url": f"{base_url}/providers/{each.name}"}
            for each in PROVIDERS.values()
            if each.name.startswith(NAMESPACE) and not each.regional
        ],
    }
