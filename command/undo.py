"""Application service of undo: writes the desired state of a former version again, as a new event,
judged like any PUT of the caller.

The caller needs `put` on the resource and `get` on its history. Secret fields keep their values of
today, unless those of then are asked for. The versions of the present life can be restored, no
other.
"""

import asyncio
from functools import partial

from msgspec.structs import replace

from secaplane.command import submit
from secaplane.command.attempt import Recorded
from secaplane.command.gather.versions import desired_by
from secaplane.command.rules.restoring import restored
from secaplane.command.submit import Admitted, SubmitDependencies, WriteRequest
from secaplane.edge.requests.beside_loop import in_proportion
from secaplane.kinds.advice import to_find_or_create
from secaplane.kinds.views import HISTORY
from secaplane.model.document import encode
from secaplane.model.errors import (
    Conflict,
    Malformed,
    NotFound,
    PreconditionFailed,
    Unavailable,
)
from secaplane.model.events import DesiredState
from secaplane.model.pointer import at
from secaplane.model.position import Position
from secaplane.model.shape import Json, Resource
from secaplane.sealing.life_sealers import Sealed, sources
from secaplane.sealing.sealer import UnsealFailed

TRIES_MAX = 5
"""Tries of one undo, while others write the same resource."""
FOUND_S_MAX = 5.0
"""A version is looked for in the log so long."""
KEY_GONE = (
    "the key of these secrets is not there any more, and so their values cannot be written again:"
    " PUT the resource as you want it, with what its history shows of this version"
)
TOO_FAR = "this version is too far back to be found in time; read it with asOf, and PUT it"


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
    dependencies: SubmitDependencies,
    request: WriteRequest,
    admitted: Admitted,
    version: int,
    *,
    secrets_of_then: bool = False,
) -> tuple[Recorded, tuple[Position, ...]]:
    """Write the desired state of a version again. It holds only against the version that it was
    made for; where another write came first, it is made anew.

    Raises:
        NotFound: there is no such resource, or its present life has no such version.
        Malformed: it is the present version.
        Refusal: as of a PUT.
    """
    sent = request.precondition
    for tried in range(TRIES_MAX):
        today = await _present(dependencies, request)
        body = await _body(dependencies, request, today, version, secrets_of_then)
        precondition = sent if sent.version is not None else replace(sent, version=today.version)
        put = request._replace(precondition=precondition)
        data = encode(body)
        try:
            async with dependencies.large_bodies.worked_on(len(data)):
                read = partial(submit.read_body, dependencies, put, data)
                return await submit.put(
                    dependencies, put, admitted, await in_proportion(len(data), read)
                )
        except PreconditionFailed:
            latest = await _present(dependencies, request)
            overtaken = latest.version != today.version and sent.version is None
            if not overtaken or tried + 1 == TRIES_MAX:
                raise
    raise AssertionError("the last try answers or raises")


async def _body(
    dependencies: SubmitDependencies,
    request: WriteRequest,
    today: Resource,
    version: int,
    secrets_of_then: bool,
) -> Json:
    """The body that restores a version."""
    if version == today.version:
        raise Malformed(f"{version} is the present version: name an older one", parameter="to")
    try:
        async with asyncio.timeout(FOUND_S_MAX):
            then = await desired_by(dependencies.commands.log, today, version)
    except TimeoutError as error:
        raise Unavailable(TOO_FAR) from error
    opened = await _opened(dependencies, request, today, then if secrets_of_then else None)
    return restored(request.kind, then, opened)


async def _opened(
    dependencies: SubmitDependencies,
    request: WriteRequest,
    today: Resource,
    then: DesiredState | None,
) -> Json:
    """The spec whose secrets are written, with them in clear: that of today, or of then."""
    kind, spec = request.kind, today.spec if then is None else then.spec
    if not kind.secrets.spec:
        return spec
    try:
        held = Sealed(today.life_ids, spec, {})
        return (await dependencies.sealers.opening(kind, [held])).open(kind, today.life_ids, spec)
    except UnsealFailed as error:
        present = [each for each in kind.secrets.spec if at(spec, each) is not None]
        raise Conflict(KEY_GONE, sources=sources(present)) from error


async def _present(dependencies: SubmitDependencies, request: WriteRequest) -> Resource:
    found = await dependencies.commands.cache.current(request.ref)
    if found is None or found.gone:
        kind = request.kind
        if request.name in kind.exposure.builtin_names:
            raise Conflict(f"{request.name} is the same in every version: nothing can be undone")
        advice = to_find_or_create(kind, request.ids)
        raise NotFound(f"there is no {kind.name} {request.name}; {advice}")
    return found
