"""Application service of undo: writes the desired state of a former version again, as a new event,
judged like any PUT of the caller.

The caller needs `put` on the resource and `get` on its history. Secret fields keep their values of
today. The versions of the present life can be restored, no other.
"""

from functools import partial

from msgspec.structs import replace

from secaplane.command import submit
from secaplane.command.attempt import Recorded
from secaplane.command.rules.restoring import former, restored
from secaplane.command.submit import Admitted, SubmitDependencies, WriteRequest
from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.eventlog.log import LogUnavailable
from secaplane.kinds.advice import to_find_or_create
from secaplane.kinds.views import HISTORY
from secaplane.model.document import encode
from secaplane.model.errors import NotFound, PreconditionFailed, Unavailable
from secaplane.model.position import Position
from secaplane.model.shape import Json, Resource

TRIES_MAX = 5
"""Tries of one undo, while others write the same resource."""


async def admit(dependencies: SubmitDependencies, request: WriteRequest) -> Admitted:
    """Authenticate and authorize an undo.

    Raises:
        Unauthenticated, Forbidden, RateLimited, Unavailable.
    """
    context, kind, ids = request.context, request.kind, request.ids
    admitted = await submit.admit(dependencies, request, "put")
    dependencies.guard.authorize_view(
        context, admitted.caller, "get", HISTORY, kind, ids, request.name
    )
    return admitted


async def undo(
    dependencies: SubmitDependencies, request: WriteRequest, admitted: Admitted, version: int
) -> tuple[Recorded, tuple[Position, ...]]:
    """Write the desired state of a version again. It holds only against the version that it was
    made for; where another write came first, it is made anew.

    Raises:
        NotFound: there is no such resource, or its present life has no such version.
        Refusal: as of a PUT.
    """
    sent = request.precondition
    for tried in range(TRIES_MAX):
        today, body = await _body(dependencies, request, version)
        precondition = sent if sent.version is not None else replace(sent, version=today.version)
        put = request._replace(precondition=precondition)
        data = encode(body)
        read = await in_proportion(len(data), partial(submit.read_body, dependencies, put, data))
        try:
            return await submit.put(dependencies, put, admitted, read)
        except PreconditionFailed:
            latest = await _present(dependencies, request)
            overtaken = latest.version != today.version and sent.version is None
            if not overtaken or tried + 1 == TRIES_MAX:
                raise
    raise AssertionError("the last try answers or raises")


async def _body(
    dependencies: SubmitDependencies, request: WriteRequest, version: int
) -> tuple[Resource, Json]:
    """The resource as it is, and the body that restores a version of it."""
    kind, today = request.kind, await _present(dependencies, request)
    try:
        events = await dependencies.commands.log.read(
            request.ref, after=today.life.moved(-1), up_to=today.position
        )
    except LogUnavailable as error:
        raise Unavailable("the log does not answer; try again") from error
    then = former(events, today, version)
    opened = today.spec
    if kind.secrets.spec:
        opened = dependencies.sealer.open(kind, today.life_ids, today.spec)
    return today, restored(kind, then, opened)


async def _present(dependencies: SubmitDependencies, request: WriteRequest) -> Resource:
    try:
        found = await dependencies.commands.cache.current(request.ref)
    except LogUnavailable as error:
        raise Unavailable("the log does not answer; try again") from error
    if found is None or found.gone:
        kind = request.kind
        advice = to_find_or_create(kind, request.ids)
        raise NotFound(f"there is no {kind.name} {request.name}; {advice}")
    return found
