"""PUT, DELETE and POST routes, made from the catalogue."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from litestar import MediaType, Request, delete, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.response.base import ASGIResponse

from secaplane.command.companions import ensure_companion
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import CallerRights
from secaplane.command.handle import CommandResult, handle
from secaplane.command.http.body import BodyReader
from secaplane.command.rules.commands import Act, Command, Delete, Put
from secaplane.edge.guard import Guard
from secaplane.edge.requests import parsing
from secaplane.edge.requests.context import RequestContext, new_id, request_context
from secaplane.edge.requests.origin import Origin, origin
from secaplane.edge.requests.paths import broken_names, template
from secaplane.kinds import KINDS, refs_within
from secaplane.model.document import document, encode, status
from secaplane.model.events import Actor, Created
from secaplane.model.kind import Kind
from secaplane.model.position import Position, newest, written
from secaplane.model.shape import Ref
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.caller import Caller
from secaplane.policy.watch import WATCHED_KINDS
from secaplane.sealing.sealer import Sealer

JSON = "application/json"
POSITION = "Secaplane-Position"


@dataclass(frozen=True)
class SubmitDependencies:
    """What the write side needs."""

    commands: CommandDependencies
    guard: Guard
    sealer: Sealer
    bodies: BodyReader
    region: str
    base_url: str
    projected: Callable[[Sequence[Position]], Awaitable[object]]
    """Wait, bounded, until the read model has reached a position."""
    policy_changed: Callable[[], Awaitable[None]]
    """Called before a change of the policy is answered: it is in force here from then on."""


def routes(dependencies: SubmitDependencies) -> list[HTTPRouteHandler]:
    return [each for kind in KINDS.values() for each in _routes(kind, dependencies)]


def _routes(kind: Kind, dependencies: SubmitDependencies) -> list[HTTPRouteHandler]:
    makers = {"put": _put, "delete": _delete}
    made = [makers[verb](kind, dependencies) for verb in kind.verbs if verb in makers]
    return [*made, _act(kind, dependencies)] if kind.actions else made


def _items(kind: Kind) -> list[str]:
    return [template(f"{url}/{{name}}") for url in kind.urls]


def _put(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    @put(_items(kind), name=f"CreateOrUpdate{kind.title} {kind.name}")
    async def put_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        name = ids["name"]
        parsing.deleted(context.header(b"accept"))
        caller = await dependencies.guard.authenticate(context)
        data = await request.body()
        if data:
            parsing.media_type(context.header(b"content-type"))
        sent = parsing.body(data)
        expected = parsing.expected(context.header(b"if-unmodified-since"))
        allowed = dependencies.guard.authorize(context, caller, "put", kind, ids, name)
        wanted = dependencies.bodies.read(kind, sent, broken_names(kind, ids, name))
        ref = kind.ref(ids, name)
        command = Put(
            spec=dependencies.sealer.seal(kind, ref, wanted.spec),
            labels=wanted.labels,
            annotations=wanted.annotations,
            extensions=wanted.extensions,
            expected=expected,
        )
        handled, positions = await _handled(
            dependencies, context, ref, command, caller, allowed, ids
        )
        may_get = dependencies.guard.policy.allows(caller, "get", ref)
        return _recorded(dependencies, context, kind, handled, positions, secrets=may_get)

    return put_resource


def _recorded(
    dependencies: SubmitDependencies,
    context: RequestContext,
    kind: Kind,
    handled: CommandResult,
    positions: Sequence[Position],
    *,
    secrets: bool,
) -> ASGIResponse:
    """The answer to a PUT. Of an update it has the status as it was when it was accepted: it does
    not say `updating`, the next GET may. What was found and is secret is for who may get it."""
    resource = handled.resource
    assert resource is not None, "a PUT that is accepted leaves a resource"
    shown = document(kind, resource, region=dependencies.region, verb="PUT")
    if handled.before is not None:
        shown["status"] = status(kind, handled.before)
    if kind.has_secrets:
        hidden = () if secrets else kind.secrets.status
        for pointer in hidden:
            shown["status"].pop(pointer.removeprefix("/"), None)
        shown = dependencies.sealer.open_shown(kind, resource.ref, shown)
    headers = {POSITION: written(positions)}
    created = isinstance(handled.event, Created)
    if created:
        headers["Location"] = f"{dependencies.base_url}{context.path}"
    return ASGIResponse(
        body=encode(shown),
        status_code=201 if created else 200,
        headers=headers,
        media_type=JSON,
    )


def _delete(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    @delete(_items(kind), name=f"Delete{kind.title} {kind.name}", status_code=202)
    async def delete_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        expected = parsing.expected(context.header(b"if-unmodified-since"))
        caller, allowed = await dependencies.guard.admit(context, "delete", kind, ids, ids["name"])
        ref = kind.ref(ids, ids["name"])
        command = Delete(expected=expected)
        _, positions = await _handled(dependencies, context, ref, command, caller, allowed)
        return _accepted(positions)

    return delete_resource


def _act(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    @post(
        [template(f"{kind.url}/{{name}}/{action}") for action in kind.actions],
        name=f"Act{kind.title} {kind.name}",
        status_code=202,
    )
    async def act_on_resource(request: Request[Any, Any, Any]) -> ASGIResponse:
        context, ids = request_context(request.scope), request.path_params
        action = context.path.rpartition("/")[2]
        expected = parsing.expected(context.header(b"if-unmodified-since"))
        caller, allowed = await dependencies.guard.admit(
            context, f"post.{action}", kind, ids, ids["name"]
        )
        ref = kind.ref(ids, ids["name"])
        command = Act(action=action, expected=expected)
        _, positions = await _handled(dependencies, context, ref, command, caller, allowed)
        return _accepted(positions)

    return act_on_resource


async def _handled(
    dependencies: SubmitDependencies,
    context: RequestContext,
    ref: Ref,
    command: Command,
    caller: Caller,
    allowed: Actor,
    ids: Mapping[str, str] | None = None,
) -> tuple[CommandResult, Sequence[Position]]:
    """Handle it, do what the caller must find done, and let the read model catch up. `ids` are
    those of a PUT's path, which may name more than the resource lies in."""
    request = f"{context.request_id}.{new_id()[:16]}"
    if ref.kind in KINDS_OF_POLICY:
        await dependencies.policy_changed()  # what is given away is judged by the latest of it
    handled = await handle(
        dependencies.commands,
        ref,
        command,
        actor=_author(caller, allowed, origin(context, dependencies.guard.proxies)),
        request=request,
        rights=_rights(dependencies, caller, ref),
        within=_named_besides(KINDS[ref.kind], ids or {}),
    )
    positions = [handled.position]
    if isinstance(handled.event, Created) and handled.resource is not None:
        companion = await ensure_companion(
            dependencies.commands, handled.resource, creator=caller.sub, request=request
        )
        if companion is not None:
            positions.append(companion)
            await dependencies.policy_changed()
    if ref.kind in WATCHED_KINDS and handled.event is not None:
        await dependencies.policy_changed()
    positions = list(newest(positions))
    await dependencies.projected(positions)
    return handled, positions


def _rights(dependencies: SubmitDependencies, caller: Caller, ref: Ref) -> CallerRights:
    """Only a role, or an assignment, gives anything away."""
    policy = dependencies.guard.policy
    rights = CallerRights(sees=lambda other: policy.allows(caller, "get", other))
    if ref.kind not in KINDS_OF_POLICY:
        return rights
    return rights._replace(exceeds=partial(policy.excess, caller))


def _named_besides(kind: Kind, ids: Mapping[str, str]) -> list[Ref]:
    """What a path of a former version of the standard names and the resource does not lie in."""
    named = {each for each in ids if each != "name"}.difference(kind.scope)
    collections = kind.exposure.former_collections if named else ()
    return [ref for each in collections for ref in refs_within(each, ids) if ref.kind in named]


def _author(caller: Caller, allowed: Actor, origin: Origin) -> Actor:
    """The actor that the policy cached for the caller, with this request's token and origin."""
    return msgspec.structs.replace(allowed, token=caller.token, **origin._asdict())


def _accepted(positions: Sequence[Position]) -> ASGIResponse:
    headers = {POSITION: written(positions)}
    return ASGIResponse(status_code=202, headers=headers, media_type=MediaType.TEXT)
