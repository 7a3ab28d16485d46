"""Application service of the write side: one write from its parsed request to its positions.

A write is admitted by its path and token, its body is read into a command, and handled; the
companion of a new resource is made; a changed policy is in force in this process; and the read
model has a bounded time to catch up, so that the caller reads its own write. HTTP routes call
`put`, `delete` and `act`; operators' commands, which need no token, call `submit`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from secaplane.command.attempt import Recorded
from secaplane.command.body import BodyReader, PutBody
from secaplane.command.companions import delete_companion, ensure_companion
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.rights import CallerPolicy
from secaplane.command.handle import CommandResult, handle
from secaplane.command.rules.commands import Act, Command, Delete, Put
from secaplane.edge.guard import Guard
from secaplane.edge.requests import strict_json
from secaplane.edge.requests.context import RequestContext, new_id
from secaplane.edge.requests.large_bodies import LargeBodies
from secaplane.edge.requests.origin import Origin, origin
from secaplane.edge.requests.paths import broken_names
from secaplane.kinds import refs_within
from secaplane.model.actor import Actor
from secaplane.model.events import Closed, Created
from secaplane.model.kind import Kind
from secaplane.model.position import Position, newest
from secaplane.model.precondition import Precondition
from secaplane.model.shape import Json, Ref
from secaplane.policy.grants.escalation import in_slices
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.policy.tokens.caller import Caller
from secaplane.policy.watch import WATCHED_KINDS
from secaplane.sealing.life_sealers import LifeSealers


@dataclass(frozen=True)
class SubmitDependencies:
    commands: CommandDependencies
    guard: Guard
    sealers: LifeSealers
    bodies: BodyReader
    large_bodies: LargeBodies
    region: str
    base_url: str
    projected: Callable[[Ref, Sequence[str], Sequence[Position]], Awaitable[object]]
    """(tenants whose lists show a write, its positions): wait, for a bounded time, until the read
    model has reached the positions; if it has not, let readers know of them before the write is
    answered."""
    paced: Callable[[str], Awaitable[None]]
    """(tenant of an accepted write): delay its answer by a share of the reconcilers' backlog."""
    policy_changed: Callable[[], Awaitable[None]]
    """Bring the policy of this process up to date with the log."""


class WriteRequest(NamedTuple):
    """The parts of a write request that all methods share."""

    context: RequestContext
    kind: Kind
    ids: Mapping[str, str]
    """The parameters of the path, `name` among them."""
    precondition: Precondition

    @property
    def name(self) -> str:
        return self.ids["name"]

    @property
    def ref(self) -> Ref:
        return self.kind.ref(self.ids, self.name)


class Admitted(NamedTuple):
    """The caller of an allowed write, and the actor that its event will name."""

    caller: Caller
    actor: Actor


class Submitted(NamedTuple):
    result: CommandResult
    companion: Position | None = None
    """The position of the companion, where one was made or deleted."""

    @property
    def positions(self) -> tuple[Position, ...]:
        """The positions that a reader of this write must have reached, one for each stream."""
        return newest(each for each in (self.result.position, self.companion) if each is not None)


async def admit(dependencies: SubmitDependencies, request: WriteRequest, verb: str) -> Admitted:
    """Authenticate and authorize a write by its path and token alone, before its body is read.

    Raises:
        Unauthenticated, Forbidden, RateLimited, Unavailable.
    """
    context, kind, ids = request.context, request.kind, request.ids
    return Admitted(*await dependencies.guard.admit(context, verb, kind, ids, request.name))


def read_body(dependencies: SubmitDependencies, request: WriteRequest, data: bytes) -> PutBody:
    """The desired state that a PUT sends. Pure: a large body is read beside the event loop.

    Raises:
        Malformed, Invalid.
    """
    kind, ids = request.kind, request.ids
    broken = broken_names(kind, ids, request.name)
    return dependencies.bodies.read(kind, strict_json.read(data), broken)


async def put(
    dependencies: SubmitDependencies, request: WriteRequest, admitted: Admitted, body: PutBody
) -> tuple[Recorded, tuple[Position, ...]]:
    """Create or update a resource as an admitted caller desires.

    Raises:
        Refusal.
    """
    context, kind, ids = request.context, request.kind, request.ids
    ref = request.ref
    command = Put(
        spec=body.spec,
        labels=body.labels,
        annotations=body.annotations,
        extensions=body.extensions,
        precondition=request.precondition,
    )
    result, positions = await _write(
        dependencies, context, ref, command, admitted, _required(kind, ids)
    )
    assert isinstance(result, Recorded), "a PUT that is accepted records an event"
    return result, positions


async def delete(dependencies: SubmitDependencies, request: WriteRequest) -> tuple[Position, ...]:
    """Request the deletion of a resource.

    Raises:
        Refusal.
    """
    return await _write_admitted(
        dependencies, request, "delete", Delete(precondition=request.precondition)
    )


async def act(
    dependencies: SubmitDependencies, request: WriteRequest, action: str
) -> tuple[Position, ...]:
    """Request an action of a resource, such as `start`.

    Raises:
        Refusal.
    """
    command = Act(action=action, precondition=request.precondition)
    return await _write_admitted(dependencies, request, f"post.{action}", command)


async def submit(
    commands: CommandDependencies,
    ref: Ref,
    command: Command,
    *,
    actor: Actor,
    request: str,
    policy: CallerPolicy | None = None,
    required: Sequence[Ref] = (),
) -> Submitted:
    """Handle a command. If it created the resource, its companion is made; if it closed it, its
    companion is deleted.

    Raises:
        Refusal: as `handle`.
        LogUnavailable: the resource is recorded, its companion may not be.
    """
    result = await handle(
        commands, ref, command, actor=actor, request=request, policy=policy, required=required
    )
    if isinstance(result, Recorded) and isinstance(result.event, Closed):
        deleted = await delete_companion(commands, result.resource, request=request)
        return Submitted(result, deleted)
    if not isinstance(result.event, Created) or result.resource is None:
        return Submitted(result)
    companion = await ensure_companion(
        commands, result.resource, creator=actor.sub, request=request
    )
    return Submitted(result, companion)


def listed_in(ref: Ref) -> Sequence[str]:
    """The tenants whose lists show a write; empty text stands for the lists outside of tenants. A
    tenant is in one of those, and its companion is in the tenant."""
    above = Ref(ref.kind, ref.collection)
    return tuple(dict.fromkeys(each.scope("tenants") for each in (ref, above)))


def may_read(dependencies: SubmitDependencies, caller: Caller, ref: Ref) -> bool:
    """True if the caller may get the resource, and so see its secrets in the answer to a write."""
    return dependencies.guard.policy.allows(caller, "get", ref)


async def _write_admitted(
    dependencies: SubmitDependencies, request: WriteRequest, verb: str, command: Command
) -> tuple[Position, ...]:
    admitted = await admit(dependencies, request, verb)
    _, positions = await _write(dependencies, request.context, request.ref, command, admitted)
    return positions


async def _write(
    dependencies: SubmitDependencies,
    context: RequestContext,
    ref: Ref,
    command: Command,
    admitted: Admitted,
    required: Sequence[Ref] = (),
) -> tuple[CommandResult, tuple[Position, ...]]:
    """Submit the caller's command, and wait until its effects are visible."""
    caller, allowed = admitted
    if ref.kind in KINDS_OF_POLICY:
        await dependencies.policy_changed()  # escalation is checked against the latest policy
    submitted = await submit(
        dependencies.commands,
        ref,
        command,
        actor=_author(allowed, caller, origin(context, dependencies.guard.proxies)),
        request=f"{context.request_id}.{new_id()[:16]}",
        policy=PolicyOfCaller(dependencies.guard.policy, caller),
        required=required,
    )
    result, companion = submitted
    if companion is not None or (ref.kind in WATCHED_KINDS and result.event is not None):
        await dependencies.policy_changed()
    positions = submitted.positions
    await dependencies.projected(ref, listed_in(ref), positions)
    if result.event is not None:
        await dependencies.paced(ref.scope("tenants"))
    return result, positions


def _author(allowed: Actor, caller: Caller, origin: Origin) -> Actor:
    """The actor that the policy cached for all requests of a caller, with what this request adds:
    the token's id and the origin."""
    return msgspec.structs.replace(allowed, token=caller.token, **origin._asdict())


class PolicyOfCaller(NamedTuple):
    """The policy as it applies to one caller (a `CallerPolicy`)."""

    policy: Policy
    caller: Caller

    def may_get(self, ref: Ref) -> bool:
        return self.policy.allows(self.caller, "get", ref)

    async def excess(self, ref: Ref, old: Json | None, new: Json) -> str:
        """Only roles and role assignments grant anything. Other requests are answered meanwhile."""
        if ref.kind not in KINDS_OF_POLICY:
            return ""
        return await in_slices(self.policy.excess(self.caller, ref, old, new))


def _required(kind: Kind, ids: Mapping[str, str]) -> list[Ref]:
    """Resources that the path of a former version of the standard names, though they do not contain
    the resource."""
    named = {each for each in ids if each != "name"}.difference(kind.scope)
    collections = kind.exposure.former_collections if named else ()
    return [ref for each in collections for ref in refs_within(each, ids) if ref.kind in named]
