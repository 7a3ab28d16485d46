"""The route of access reviews.

    POST /providers/secaplane.admin/v1/tenants/{tenant}/access-reviews
    {"spec": {"caller": "jane", "verb": "put", "path": "/providers/seca.compute/v1/tenants/..."}}

A review without a caller lists the callers who may. With `?asOf=` it is about the roles and role
assignments of then.
"""

from collections.abc import Awaitable, Callable
from functools import partial
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
from secaplane.edge.requests.parameters import parameters
from secaplane.edge.requests.paths import REVIEWS, template
from secaplane.edge.serving.answer import Answer
from secaplane.kinds.views import AS_OF
from secaplane.policy.grants.policy import Policy
from secaplane.policy.grants.review import AccessReviewRequest

_encode = msgspec.json.Encoder().encode


PolicyAsOf = Callable[[str, str], Awaitable[Policy]]
"""(tenant, a point of the past) -> its policy as of then."""


def routes(
    guard: Guard, large_bodies: LargeBodies, policy_as_of: PolicyAsOf
) -> list[HTTPRouteHandler]:
    @post(template(REVIEWS), name="ReviewAccess", status_code=200)
    async def review_access(request: Request[Any, Any, Any]) -> Answer:
        context = request_context(request.scope)
        tenant = request.path_params["tenant"]
        caller = await guard.authenticate(context)
        about_all = admit(guard, context, caller, tenant)
        parsing.media_type(context.listed(b"content-type"))
        async with large_bodies.read(request, context, caller) as data:
            sent = await in_proportion(len(data), lambda: _read(data))
        asked = parameters(request.scope["query_string"], (AS_OF,))
        then = partial(policy_as_of, tenant, asked[AS_OF]) if asked else None
        answer = await review(
            guard, context, caller, tenant, sent.spec, about_all=about_all, then=then
        )
        return Answer(_encode(answer), {})

    return [review_access]


def _read(data: bytes) -> AccessReviewRequest:
    return read_as(AccessReviewRequest, strict_json.read(data))
