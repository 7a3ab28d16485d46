"""PUT, DELETE and POST routes, made from the kinds."""

from collections.abc import Sequence
from typing import Any

from litestar import Request, delete, post, put
from litestar.handlers import HTTPRouteHandler

from secaplane.command import submit
from secaplane.command.attempt import Recorded
from secaplane.command.submit import SubmitDependencies, WriteRequest
from secaplane.edge.requests import parsing
from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.parameters import refuse_as_of
from secaplane.edge.requests.paths import template
from secaplane.edge.requests.preconditions import precondition
from secaplane.edge.serving.answer import Answer
from secaplane.kinds import KINDS
from secaplane.model.document import document, encode, status
from secaplane.model.events import Created
from secaplane.model.kind import Kind
from secaplane.model.position import Position, written
from secaplane.sealing.life_sealers import Sealed

POSITION = "Secaplane-Position"


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
    async def put_resource(request: Request[Any, Any, Any]) -> Answer:
        context = request_context(request.scope)
        parsing.deleted(context.listed(b"accept"))
        write = _write_request(request, kind)
        if context.has_body:
            parsing.media_type(context.listed(b"content-type"))
        admitted = await submit.admit(dependencies, write, "put")
        async with dependencies.large_bodies.read(request, context, admitted.caller) as data:
            body = await in_proportion(
                len(data), lambda: submit.read_body(dependencies, write, data)
            )
            result, positions = await submit.put(dependencies, write, admitted, body)
            secrets = submit.may_read(dependencies, admitted.caller, result.resource.ref)
            return await _answer(
                dependencies, kind, context.path, result, positions, secrets=secrets
            )

    return put_resource


def _delete(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    @delete(_items(kind), name=f"Delete{kind.title} {kind.name}", status_code=202)
    async def delete_resource(request: Request[Any, Any, Any]) -> Answer:
        return _accepted(await submit.delete(dependencies, _write_request(request, kind)))

    return delete_resource


def _act(kind: Kind, dependencies: SubmitDependencies) -> HTTPRouteHandler:
    @post(
        [template(f"{kind.url}/{{name}}/{action}") for action in kind.actions],
        name=f"Act{kind.title} {kind.name}",
        status_code=202,
    )
    async def act_on_resource(request: Request[Any, Any, Any]) -> Answer:
        write = _write_request(request, kind)
        action = write.context.path.rpartition("/")[2]
        return _accepted(await submit.act(dependencies, write, action))

    return act_on_resource


def _write_request(request: Request[Any, Any, Any], kind: Kind) -> WriteRequest:
    context = request_context(request.scope)
    refuse_as_of(request.scope["query_string"])
    return WriteRequest(context, kind, request.path_params, precondition(context))


async def _answer(
    dependencies: SubmitDependencies,
    kind: Kind,
    path: str,
    result: Recorded,
    positions: Sequence[Position],
    *,
    secrets: bool,
) -> Answer:
    """The answer to a PUT. An update shows the status as it was when the PUT was accepted, not yet
    `updating`. Secret status fields are shown only to callers who may get the resource."""
    shown = document(kind, result.resource, region=dependencies.region, verb="PUT")
    if result.before is not None:
        shown["status"] = status(kind, result.before)
    if kind.has_secrets:
        hidden = () if secrets else kind.secrets.status
        for pointer in hidden:
            shown["status"].pop(pointer.removeprefix("/"), None)
        life = result.resource.life_ids
        held = Sealed(life, shown["spec"], shown.get("status", {}))
        shown = (await dependencies.sealers.opening(kind, [held])).open_shown(kind, life, shown)
    headers = {POSITION: written(positions)}
    created = isinstance(result.event, Created)
    if created:
        headers["Location"] = f"{dependencies.base_url}{path}"
    return Answer(encode(shown), headers, status=201 if created else 200)


def _accepted(positions: Sequence[Position]) -> Answer:
    """Without a body, and so without a content type."""
    return Answer(b"", {POSITION: written(positions)}, status=202, media_type="")
