"""Access reviews: may this caller do that, by what, and if not, why not; and who may.

    POST /providers/secaplane.admin/v1/tenants/{tenant}/access-reviews
    {"spec": {"caller": "jane", "verb": "put", "path": "/providers/seca.compute/v1/tenants/..."}}

Nothing is recorded, so it is no kind. Without a caller it lists who may. Whoever may list a
tenant's role assignments may ask about everybody in it; everybody may ask about themselves.
"""

from typing import Annotated, Any, NamedTuple

import msgspec
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse
from msgspec import Meta, UnsetType

from edge import reading
from edge.guard import Guard
from edge.paths import template
from edge.visit import Visit, visit_of
from kinds import KINDS
from model.errors import Forbidden, Invalid
from model.kind import Kind
from model.shape import Json, Wire
from policy.caller import Caller
from policy.explain import encode, explained, who_may

URL = f"{KINDS['tenant'].url}/{{tenant}}/access-reviews"
JSON = "application/json"
Verb = Annotated[str, Meta(pattern=r"^(get|list|put|delete|post\.[a-z]{1,32})$")]


class ReviewSpec(Wire, frozen=True):
    verb: Verb
    path: Annotated[str, Meta(min_length=1, max_length=2000)]
    """As in the URL, from `/providers/` on; of an action, that of its resource."""
    caller: Annotated[str, Meta(min_length=1, max_length=256)] | UnsetType = msgspec.UNSET
    """A sub, with its issuer's prefix; absent: whoever may."""


class Review(msgspec.Struct, frozen=True):
    spec: ReviewSpec


class Place(NamedTuple):
    kind: Kind
    ids: dict[str, str]
    name: str


def routes(guard: Guard) -> list[HTTPRouteHandler]:
    @post(template(URL), name="review", status_code=200)
    async def review(request: Request[Any, Any, Any]) -> ASGIResponse:
        visit, tenant = visit_of(request.scope), request.path_params["tenant"]
        reading.media_type(visit.header(b"content-type"))
        caller = guard.caller(visit)
        spec = _spec(reading.body(await request.body()))
        _refuse_curious(guard, visit, caller, tenant, spec)
        place = _place(spec, tenant)
        status = await _status(guard, spec, place, tenant)
        body = encode({"spec": spec, "status": status})
        return ASGIResponse(body=body, media_type=JSON)

    return [review]


async def _status(guard: Guard, spec: ReviewSpec, place: Place, tenant: str) -> Any:
    policy = guard.policy
    if isinstance(spec.caller, UnsetType):
        callers = await who_may(policy, spec.verb, place.kind, place.ids, place.name, tenant)
        return {"policyRevision": policy.book.revision(tenant), "callers": callers}
    asked_for = Caller("", spec.caller)
    return explained(policy.verdict(asked_for, spec.verb, place.kind, place.ids, place.name))


def _spec(sent: Any) -> ReviewSpec:
    try:
        return msgspec.convert(sent, Review).spec
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/")
        raise Invalid(f"{pointer or 'the body'}: {message}", pointer=pointer) from error


def _refuse_curious(
    guard: Guard, visit: Visit, caller: Caller, tenant: str, spec: ReviewSpec
) -> None:
    if spec.caller == caller.sub:
        return
    ids = {"tenant": tenant}
    try:
        guard.allow(visit, caller, "list", KINDS["role-assignment"], ids)
    except Forbidden:
        guard.allow(visit, caller, "get", KINDS["tenant"], {}, tenant)  # operators


def _place(spec: ReviewSpec, tenant: str) -> Place:
    """Which kind, and which of it, a path names.

    Raises:
        Invalid: none that this house serves, or one that lies in another tenant.
    """
    steps = spec.path.split("/")
    listed = spec.verb == "list"
    for kind in KINDS.values():
        for url in kind.urls:
            wanted = (url if listed else f"{url}/{{name}}").split("/")
            found = _match(wanted, steps)
            if found is None:
                continue
            name = found.pop("name", "")
            if found.get("tenant", name if kind.name == "tenant" else tenant) == tenant:
                return Place(kind, found, name)
    raise Invalid(
        f"is no path in tenant {tenant} that takes {spec.verb}; it begins with /providers/",
        pointer="/spec/path",
    )


def _match(wanted: list[str], steps: list[str]) -> dict[str, str] | None:
    if len(wanted) != len(steps):
        return None
    found: Json = {}
    for place, step in zip(wanted, steps, strict=True):
        if place.startswith("{") and step:
            found[place[1:-1]] = step
        elif place != step:
            return None
    return found
