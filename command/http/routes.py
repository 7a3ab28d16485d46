"""PUT, DELETE and POST routes, made from the catalogue."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from litestar import MediaType, Request, delete, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from secaplane.command.companions import accompany
from secaplane.command.dependencies import Door
from secaplane.command.gather.load import Rights
from secaplane.command.handle import Handled, handle
from secaplane.command.http.body import Bodies
from secaplane.command.rules.commands import Act, Command, Delete, Put
from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import Visit, new_id, visit_of
from secaplane.edge.requests.paths import broken_names, template
from secaplane.kinds import KINDS, within
from secaplane.model.document import document, encode, status
from secaplane.model.events import By, Created
from secaplane.model.kind import Kind
from secaplane.model.shape import Position, Ref
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.caller import Caller
from secaplane.policy.watch import FOLLOWED
from secaplane.sealing.sealer import Sealer

JSON = "application/json"
POSITION = "Secaplane-Position"


@dataclass(frozen=True)
class Writer:
    """What the write side needs."""

    door: Door
    guard: Guard
    sealer: Sealer
    bodies: Bodies
    region: str
    base_url: str
    projected: Callable[[Position], Awaitable[object]]
    """Wait, bounded, until the read model has reached a position."""
    policy_changed: Callable[[], Awaitable[None]]
    """Called before a change of the policy is answered: it is in force here from then on."""


def routes(writer: Writer) -> list[HTTPRouteHandler]:
    return [each for kind in KINDS.values() for each in _routes(kind, writer)]


def _routes(kind: Kind, writer: Writer) -> list[HTTPRouteHandler]:
    makers = {"put": _put, "delete": _delete}
    made = [makers[verb](kind, writer) for verb in kind.verbs if verb in makers]
    return [*made, _act(kind, writer)] if kind.actions else made


def _items(kind: Kind) -> list[str]:
    return [template(f"{url}/{{name}}") for url in kind.urls]


def _put(kind: Kind, writer: Writer) -> HTTPRouteHandler:
    @put(_items(kind), name=f"CreateOrUpdate{kind.title} {kind.name}")
    async def put_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        visit, ids = visit_of(request.scope), request.path_params
        name = ids["name"]
        parsing.deleted(visit.header(b"accept"))
        caller = await writer.guard.caller(visit)
        data = await request.body()
        if data:
            parsing.media_type(visit.header(b"content-type"))
        sent = parsing.body(data)
        expected = parsing.expected(visit.header(b"if-unmodified-since"))
        allowed = writer.guard.allow(visit, caller, "put", kind, ids, name)
        wanted = writer.bodies.read(kind, sent, broken_names(kind, ids, name))
        ref = kind.ref(ids, name)
        command = Put(
            spec=writer.sealer.seal(kind, ref, wanted.spec),
            labels=wanted.labels,
            annotations=wanted.annotations,
            extensions=wanted.extensions,
            expected=expected,
        )
        handled = await _handled(writer, visit, ref, command, caller, allowed, ids)
        may_get = writer.guard.policy.allows(caller, "get", ref)
        return _recorded(writer, visit, kind, handled, secrets=may_get)

    return put_resource


def _recorded(
    writer: Writer, visit: Visit, kind: Kind, handled: Handled, *, secrets: bool
) -> ASGIResponse:
    """The answer to a PUT. Of an update it has the status as it was when it was accepted: it does
    not say `updating`, the next GET may. What was found and is secret is for who may get it."""
    resource = handled.resource
    assert resource is not None, "a PUT that is accepted leaves a resource"
    shown = document(kind, resource, region=writer.region, verb="PUT")
    if handled.before is not None:
        shown["status"] = status(kind, handled.before)
    if kind.sealed:
        hidden = () if secrets else kind.secret_status
        for pointer in hidden:
            shown["status"].pop(pointer.removeprefix("/"), None)
        shown = writer.sealer.open_shown(kind, resource.ref, shown)
    headers = {POSITION: str(handled.position)}
    created = isinstance(handled.event, Created)
    if created:
        headers["Location"] = f"{writer.base_url}{visit.path}"
    return ASGIResponse(
        body=encode(shown),
        status_code=201 if created else 200,
        headers=headers,
        media_type=JSON,
    )


def _delete(kind: Kind, writer: Writer) -> HTTPRouteHandler:
    @delete(_items(kind), name=f"Delete{kind.title} {kind.name}", status_code=202)
    async def delete_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        visit, ids = visit_of(request.scope), request.path_params
        expected = parsing.expected(visit.header(b"if-unmodified-since"))
        caller, allowed = await writer.guard.admit(visit, "delete", kind, ids, ids["name"])
        ref = kind.ref(ids, ids["name"])
        command = Delete(expected=expected)
        handled = await _handled(writer, visit, ref, command, caller, allowed)
        return _accepted(handled)

    return delete_resource


def _act(kind: Kind, writer: Writer) -> HTTPRouteHandler:
    @post(
        [template(f"{kind.url}/{{name}}/{action}") for action in kind.actions],
        name=f"Act{kind.title} {kind.name}",
        status_code=202,
    )
    async def act_on_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        visit, ids = visit_of(request.scope), request.path_params
        action = visit.path.rpartition("/")[2]
        expected = parsing.expected(visit.header(b"if-unmodified-since"))
        caller, allowed = await writer.guard.admit(visit, f"post.{action}", kind, ids, ids["name"])
        ref = kind.ref(ids, ids["name"])
        command = Act(action=action, expected=expected)
        handled = await _handled(writer, visit, ref, command, caller, allowed)
        return _accepted(handled)

    return act_on_resource


async def _handled(
    writer: Writer,
    visit: Visit,
    ref: Ref,
    command: Command,
    caller: Caller,
    allowed: By,
    ids: Mapping[str, str] | None = None,
) -> Handled:
    """Handle it, do what the caller must find done, and let the read model catch up. `ids` are
    those of a PUT's path, which may name more than the resource lies in."""
    request = f"{visit.request_id}.{new_id()[:16]}"
    if ref.kind in KINDS_OF_POLICY:
        await writer.policy_changed()  # what is given away is judged by the latest of it
    handled = await handle(
        writer.door,
        ref,
        command,
        by=_author(caller, allowed),
        request=request,
        rights=_rights(writer, caller, ref),
        within=_named_besides(KINDS[ref.kind], ids or {}),
    )
    last = handled.position
    if isinstance(handled.event, Created) and handled.resource is not None:
        companion = await accompany(
            writer.door, handled.resource, creator=caller.sub, request=request
        )
        if companion is not None:
            last = max(last, companion)
            await writer.policy_changed()
    if ref.kind in FOLLOWED and handled.event is not None:
        await writer.policy_changed()
    await writer.projected(last)
    return msgspec.structs.replace(handled, position=last)


def _rights(writer: Writer, caller: Caller, ref: Ref) -> Rights:
    """Only a role, or an assignment, gives anything away."""
    policy = writer.guard.policy
    rights = Rights(sees=lambda other: policy.allows(caller, "get", other))
    if ref.kind not in KINDS_OF_POLICY:
        return rights
    return rights._replace(exceeds=partial(policy.gives_too_much, caller))


def _named_besides(kind: Kind, ids: Mapping[str, str]) -> list[Ref]:
    """What a path of a former version of the standard names and the resource does not lie in."""
    named = {each for each in ids if each != "name"}.difference(kind.scope)
    collections = kind.also_below if named else ()
    return [ref for each in collections for ref in within(each, ids) if ref.kind in named]


def _author(caller: Caller, allowed: By) -> By:
    """The policy's answer is kept for the caller, not for each of the caller's tokens."""
    return msgspec.structs.replace(allowed, token=caller.token)


def _accepted(handled: Handled) -> ASGIResponse:
    headers = {POSITION: str(handled.position)}
    return ASGIResponse(status_code=202, headers=headers, media_type=MediaType.TEXT)
