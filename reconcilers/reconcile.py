"""Bring one resource one step closer to what is wanted, and report."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import msgspec

from secaplane.command.companions import ensure_companion
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.quota_usage import reverting
from secaplane.command.handle import CommandResult, handle
from secaplane.command.rules.commands import Command, ConfirmDeleted, Delete, ReportStatus
from secaplane.kinds import KINDS, releasing_kinds
from secaplane.model.errors import QuotaExceeded
from secaplane.model.events import RECONCILER, SYSTEM
from secaplane.model.kind import Backing
from secaplane.model.position import BEGINNING, Position
from secaplane.model.power import pending_action
from secaplane.model.shape import Json, Ref, Resource, State
from secaplane.plugins import Bound, InProgress, Outcome, Plugin, Ready, TerminalError
from secaplane.reconcilers.owned import AT_ONCE_MAX, OVER_QUOTA, reconcile_owned, say
from secaplane.reconcilers.plan import Plan, RelatedResources, Step, plan
from secaplane.reconcilers.related import LoadOwned, load_related
from secaplane.reconcilers.release import release
from secaplane.sealing.sealer import Sealer

LOG_WORK_MAX = 3
WAIT_S = 1.0
"""When to look again at what waits, should nothing wake it."""
OWNED_RETRY_S = 0.3
"""When to look again at a brood that grows."""


class RequeueAfter(NamedTuple):
    """When to look again, in seconds, and what might wake it sooner."""

    seconds: float
    waits_for: Ref | None = None


@dataclass(frozen=True)
class ReconcileDependencies:
    """What a reconciler works with.

    The gate bounds how many of them use the log at once, however many wait for the cloud: the log
    writes one event after the other, and users' writes come first.
    """

    commands: CommandDependencies
    plugin: Plugin
    sealer: Sealer
    family: LoadOwned
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOG_WORK_MAX))


async def reconcile(
    dependencies: ReconcileDependencies, ref: Ref, news: Position = BEGINNING
) -> RequeueAfter | None:
    """One look, one step, one report; None when there is nothing left to do. Where the read model
    is asked, it knows of `news`, a position.

    Raises:
        whatever the plugin or the log raises: the worker looks again later.
    """
    async with dependencies.gate:
        resource = await dependencies.commands.cache.current(ref)
        around, bound = await load_related(
            dependencies.commands, dependencies.family, resource, news
        )
        todo = plan(resource, around)
    if todo.step is Step.REST or resource is None:
        return None
    if todo.step is Step.TAKE_BACK:
        await _take_back(dependencies, resource, around)
        return RequeueAfter(0)
    if todo.step is Step.END:
        return await _end(dependencies, resource, around)
    if todo.step is Step.WAIT:
        return await _wait(dependencies, resource, todo)
    return await _taken(dependencies, resource, todo.step, bound)


async def _taken(
    dependencies: ReconcileDependencies, resource: Resource, step: Step, bound: Bound
) -> RequeueAfter | None:
    outcome = await _take(step, dependencies, resource, bound)
    if isinstance(outcome, Ready) and step is not Step.REMOVE:
        outcome = await _with_brood(dependencies, resource, outcome)
    if isinstance(outcome, InProgress):
        if resource.state is State.PENDING:
            await _say(dependencies, resource, _status(resource, State.CREATING))
        return RequeueAfter(outcome.look_again_s)
    if step is Step.REFRESH and isinstance(outcome, TerminalError):
        return None  # nobody asked for anything: it stays as it is until somebody does
    removed = step is Step.REMOVE and isinstance(outcome, Ready)
    if removed and not await _released(dependencies, resource):
        return RequeueAfter(0)
    handled = await _say(
        dependencies, resource, report(dependencies.sealer, resource, step, outcome)
    )
    if step is Step.REMOVE and handled.event is None:
        return RequeueAfter(WAIT_S)  # something was put into it meanwhile, and has to go first
    now = handled.resource
    if now is not None and now.last_intent > resource.last_intent:
        return RequeueAfter(0)  # somebody wants something else by now, whoever may have told us
    return None


async def _take_back(
    dependencies: ReconcileDependencies, resource: Resource, around: RelatedResources
) -> None:
    """What is taken back should never have been, so whatever lies in it or uses it is no reason."""
    over = around.over
    if over is None:
        await _say(dependencies, resource, Delete(regardless=True), system=True)
    else:
        command = await reverting(dependencies.commands, resource, over)
        await _say(dependencies, resource, command, system=True, cause=over.position)


async def _end(
    dependencies: ReconcileDependencies, resource: Resource, around: RelatedResources
) -> RequeueAfter:
    """Delete what goes with it, some at a time."""
    for ref in around.ending[:AT_ONCE_MAX]:
        async with dependencies.gate:
            await say(dependencies.commands, resource, ref, Delete())
    return RequeueAfter(OWNED_RETRY_S, around.ending[0])


async def _wait(
    dependencies: ReconcileDependencies, resource: Resource, todo: Plan
) -> RequeueAfter:
    """Says for what, in the newest entry, without adding one."""
    awaited = todo.waits_for
    assert awaited is not None, "a plan that waits names what for"
    words = "".join(part.capitalize() for part in awaited.kind.split("-"))
    command = msgspec.structs.replace(
        _status(resource, resource.state),
        reason=f"WaitingFor{words}",
        message=f"waits until {awaited.kind} {awaited.name} is {todo.until}",
    )
    await _say(dependencies, resource, command)
    return RequeueAfter(WAIT_S, awaited)


async def _take(
    step: Step, dependencies: ReconcileDependencies, resource: Resource, bound: Bound
) -> Outcome:
    kind = KINDS[resource.ref.kind]
    if step is not Step.REMOVE:
        try:
            await ensure_companion(
                dependencies.commands, resource, request=f"reconciler-{resource.uid}"
            )
        except QuotaExceeded as refusal:
            return TerminalError(OVER_QUOTA, refusal.detail)
    if kind.backing is not Backing.PLUGIN:
        return Ready()
    opened = dependencies.sealer.open(kind, resource.ref, resource.spec)
    clear = resource if opened is resource.spec else msgspec.structs.replace(resource, spec=opened)
    if step is Step.REMOVE:
        return await dependencies.plugin.remove(clear)
    outcome = await dependencies.plugin.ensure(clear, bound)
    if step is Step.ACT and isinstance(outcome, Ready):
        power = resource.power
        return await dependencies.plugin.act(clear, bound, pending_action(power), power.requested)
    return outcome


async def _with_brood(
    dependencies: ReconcileDependencies, resource: Resource, settled: Ready
) -> Outcome:
    """It is so when all that belongs to it is so, too."""
    kind = KINDS[resource.ref.kind]
    if kind.owned.members is None:
        return settled
    here = await dependencies.family(resource)
    async with dependencies.gate:
        growth = await reconcile_owned(dependencies.commands, resource, here)
    if growth.trouble:
        return TerminalError(*growth.trouble)
    if not growth.done:
        await _say(dependencies, resource, _growing(resource))
        return InProgress(OWNED_RETRY_S if growth.busy else WAIT_S)
    members = [Ref(each.kind, each.path) for each in kind.owned.members(resource).members]
    return Ready(settled.status | kind.owned.status(members))


def _growing(resource: Resource) -> ReportStatus:
    state = State.CREATING if resource.state is State.PENDING else resource.state
    return msgspec.structs.replace(
        _status(resource, state),
        reason="WaitingForMembers",
        message="waits until all that belongs to it is active",
    )


async def _released(dependencies: ReconcileDependencies, resource: Resource) -> bool:
    """Nobody's spec names it any more, where it is not to be named when it is gone."""
    kinds = releasing_kinds(KINDS[resource.ref.kind])
    users = await dependencies.commands.named_by(resource.ref, kinds) if kinds else ()
    done = True
    for user in users:
        async with dependencies.gate:
            done = await release(dependencies.commands, user, resource) and done
    return done


def report(
    sealer: Sealer, resource: Resource, step: Step, outcome: Ready | TerminalError
) -> Command:
    kind = KINDS[resource.ref.kind]
    match outcome:
        case Ready() if step is Step.REMOVE:
            return ConfirmDeleted(uid=resource.uid, observed_position=resource.position)
        case Ready(status=found):
            msgspec.convert(found, kind.status)
            sealed = sealer.seal_status(kind, resource.ref, found, resource.observed)
            return _status(resource, State.ACTIVE, sealed)
        case TerminalError(reason=reason, message=message):
            refused = _status(resource, State.ERROR)
            return msgspec.structs.replace(refused, reason=reason, message=message)


def _status(resource: Resource, state: State, found: Json | None = None) -> ReportStatus:
    return ReportStatus(
        uid=resource.uid,
        observed_position=resource.position,
        state=state,
        status=resource.observed if found is None else found,
    )


async def _say(
    dependencies: ReconcileDependencies,
    resource: Resource,
    command: Command,
    *,
    system: bool = False,
    cause: Position | None = None,
) -> CommandResult:
    async with dependencies.gate:
        return await handle(
            dependencies.commands,
            resource.ref,
            command,
            actor=SYSTEM if system else RECONCILER,
            request=f"reconciler-{uuid4().hex}",
            cause=resource.position if cause is None else cause,
        )
