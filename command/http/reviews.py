"""The route of access reviews.

    POST /providers/secaplane.admin/v1/tenants/{tenant}/access-reviews
    {"spec": {"caller": "jane", "verb": "put", "path": "/providers/seca.compute/v1/tenants/..."}}

A review without a caller lists the callers who may.
"""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler

from secaplane.command.access_reviews import admit, review
from secaplane.command.body import read_as
from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing, strict_json
from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.large_bodies import LargeBodies
from secaplane.edge.requests.paths import REVIEWS, template
from secaplane.edge.serving.answer import Answer
from secaplane.policy.grants.review import AccessReviewRequest

_encode = msgspec.json.Encoder().encode


def routes(guard: Guard, large_bodies: LargeBodies) -> list[HTTPRouteHandler]:
    @post(template(REVIEWS), name="ReviewAccess", status_code=200)
    async def review_access(request: Request[Any, Any, Any]) -> Answer:
        context = request_context(request.scope)
        tenant = request.path_params["tenant"]
        caller = await guard.authenticate(context)
        about_all = admit(guard, context, caller, tenant)
        parsing.media_type(context.listed(b"content-type"))
        async with large_bodies.read(request, context, caller) as data:
            sent = await in_proportion(len(data), lambda: _read(data))
        answer = await review(guard, context, caller, tenant, sent.spec, about_all=about_all)
        return Answer(_encode(answer), {})

    return [review_access]


def _read(data: bytes) -> AccessReviewRequest:
    return read_as(AccessReviewRequest, strict_json.read(data))
