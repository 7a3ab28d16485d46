"""Access reviews: may this caller do that, by what, and if not, why not; and who may.

    POST /providers/secaplane.admin/v1/tenants/{tenant}/access-reviews
    {"spec": {"caller": "jane", "verb": "put", "path": "/providers/seca.compute/v1/tenants/..."}}

Nothing is recorded, so it is no kind. Without a caller it lists who may. Whoever may list a
tenant's role assignments may ask about everybody; whom one of them names, about themselves.
"""

from typing import Any

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from secaplane.command.http.body import read_as
from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.paths import REVIEWS, template
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
from secaplane.policy.grants.explain import answer
from secaplane.policy.grants.review import AccessReview, AccessReviewRequest, Place, place
from secaplane.policy.grants.rules import STANDARD

JSON = "application/json"
ASSIGNMENT = KINDS["role-assignment"]

_encode = msgspec.json.Encoder().encode


def routes(guard: Guard) -> list[HTTPRouteHandler]:
    @post(template(REVIEWS), name="ReviewAccess", status_code=200)
    async def review(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        caller = await guard.authenticate(context)
        data = await request.body()
        parsing.media_type(context.header(b"content-type"))
        sent = parsing.body(data)
        spec = read_as(AccessReviewRequest, sent).spec
        about_themselves = spec.caller == caller.sub
        if not (about_themselves and guard.policy.index.names(caller.sub, ids["tenant"])):
            guard.authorize(context, caller, "list", ASSIGNMENT, ids)
        asked = place(spec)
        _refuse_elsewhere(asked, ids["tenant"])
        status = await answer(guard.policy, spec, asked, ids["tenant"])
        return ASGIResponse(body=_encode(AccessReview(spec=spec, status=status)), media_type=JSON)

    return [review]


def _refuse_elsewhere(asked: Place, tenant: str) -> None:
    """What lies in no tenant is the operators' matter, unless the standard shows it to all."""
    shown_to_all = not asked.tenant and asked.kind.provider.name.startswith(STANDARD)
    inside = "tenant" in asked.kind.scope and asked.tenant == tenant
    if not (inside or shown_to_all):
        raise Invalid(f"does not lie in the tenant {tenant}", pointer="/spec/path")
