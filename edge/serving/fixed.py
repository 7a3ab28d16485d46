"""Static answers, the same for every client, without a token."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from litestar import Request, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.preconditions import not_modified
from secaplane.edge.serving.answer import Answer, not_modified_answer
from secaplane.model.precondition import digest

NOTHING: Mapping[str, str] = MappingProxyType({})


def fixed(
    path: str | list[str], body: bytes, media_type: str, headers: Mapping[str, str] = NOTHING
) -> HTTPRouteHandler:
    """GET and HEAD with an ETag; a browser revalidates each time, and receives 304 (RFC 9111,
    section 5.2.2.4)."""
    etag = f'"{digest(body)}"'
    shown = f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type
    sent = {"ETag": etag, "Cache-Control": "no-cache", **headers}

    @route(path, http_method=[HttpMethod.GET, HttpMethod.HEAD])
    async def static(request: Request[Any, Any, Any]) -> Answer:
        if not_modified(request_context(request.scope), etag):
            return not_modified_answer(sent)
        return Answer(body, sent, media_type=shown)

    return static
