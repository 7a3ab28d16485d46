"""Well-known document: the URLs of the global providers, for clients that know only the host
(SECA: providers)."""

import msgspec
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.serving.fixed import fixed
from secaplane.kinds import PROVIDERS
from secaplane.model.shape import Json

PATH = "/.wellknown/secapi"
PATHS = [PATH, "/.well-known/secapi"]
"""The path in the standard, and the path of RFC 8615."""
NAMESPACE = "seca."


def routes(base_url: str) -> list[HTTPRouteHandler]:
    return [fixed(PATHS, msgspec.json.encode(body(base_url)), "application/json")]


def body(base_url: str) -> Json:
    """Global providers of SECA. Clients find regional ones through their region, and Secaplane's
    own in its documentation."""
    return {
        "version": "v1",
        "endpoints": [
            {"provider": each.full_name, "url": f"{base_url}/providers/{each.name}"}
            for each in PROVIDERS.values()
            if each.name.startswith(NAMESPACE) and not each.regional
        ],
    }
