"""Bring one resource one step closer to what is wanted, and report."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import msgspec

from command.accompany import accompany
from command.commands import Command, ConfirmDeleted, Delete, ReportStatus
from command.handle import Door, Handled, handle
from eventlog.sealing import Sealer
from kinds import KINDS, children, parents
from model.events import RECONCILER, SYSTEM
from model.shape import Ref, Resource, State
from plugins import Outcome, Plugin, Refused, Settled, Working
from reconcilers.plan import Plan, Step, action, never_active, plan

LOG_WORK_MAX = 3
WAIT_S = 1.0
"""When to look again at what waits, should nothing wake it."""


class Again(NamedTuple):
    """When to look again, in seconds, and what might wake it sooner."""

    seconds: float
    waits_for: Ref | None = None


@dataclass(frozen=True)
class Bench:
    """What a reconciler works with.

    The gate bounds how many of them use the log at once, however many wait for the cloud: the log
    writes one event after the other, and users' writes come first.
    """

    door: Door
    plugin: Plugin
    sealer: Sealer
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOG_WORK_MAX))


async def reconcile(bench: Bench, ref: Ref) -> Again | None:
    """One look, one step, one report; None when there is nothing left to do.

    Raises:
        whatever the plugin or the log raises: the worker looks again later.
    """
    async with bench.gate:
        resource = await bench.door.folds.fresh(ref)
        todo = plan(resource, *await _surroundings(bench, resource))
    if todo.step is Step.REST or resource is None:
        return None
    if todo.step is Step.TAKE_BACK:
        await _say(bench, resource, Delete(), system=True)
        return Again(0)
    if todo.step is Step.WAIT:
        return await _wait(bench, resource, todo)
    outcome = await _take(todo.step, bench, resource)
    if isinstance(outcome, Working):
        if resource.state is State.PENDING:
            await _say(bench, resource, _status(resource, State.CREATING))
        return Again(outcome.look_again_s)
    handled = await _say(bench, resource, report(resource, todo.step, outcome))
    if todo.step is Step.REMOVE and handled.event is None:
        return Again(WAIT_S)  # something was put into it meanwhile, and has to go first
    return None


async def _surroundings(
    bench: Bench, resource: Resource | None
) -> tuple[dict[Ref, Resource | None], list[Ref]]:
    """What the plan may need to see, fetched before: no more than the case needs."""
    if resource is None or not KINDS[resource.ref.kind].unfinished(resource):
        return {}, []
    kind = KINDS[resource.ref.kind]
    if resource.deleted_at:
        inside = await bench.door.inside(resource.ref, True) if children(kind) else []
        return {}, list(inside)
    if not never_active(resource):
        return {}, []
    above = [parent for parent in parents(resource.ref) if KINDS[parent.kind].deletable]
    return {parent: await bench.door.folds.fresh(parent) for parent in above}, []


async def _wait(bench: Bench, resource: Resource, todo: Plan) -> Again:
    """Says for what, in the newest entry, without adding one."""
    awaited = todo.waits_for
    assert awaited is not None, "a plan that waits names what for"
    words = "".join(part.capitalize() for part in awaited.kind.split("-"))
    command = _status(resource, resource.state)
    if not resource.deleted_at:
        command = msgspec.structs.replace(
            command,
            reason=f"WaitingFor{words}",
            message=f"waits until {awaited.kind} {awaited.name} is active",
        )
        await _say(bench, resource, command)
    return Again(WAIT_S, awaited)


async def _take(step: Step, bench: Bench, resource: Resource) -> Outcome:
    kind = KINDS[resource.ref.kind]
    if step is not Step.REMOVE:
        await accompany(bench.door, resource, request=f"reconciler-{resource.uid}")
    if kind.offered or not kind.by_plugin:
        return Settled()
    opened = bench.sealer.open(kind, resource.ref, resource.spec)
    clear = resource if opened is resource.spec else msgspec.structs.replace(resource, spec=opened)
    if step is Step.REMOVE:
        return await bench.plugin.remove(clear)
    outcome = await bench.plugin.ensure(clear)
    if step is Step.ACT and isinstance(outcome, Settled):
        return await bench.plugin.act(clear, action(resource), resource.power.asked)
    return outcome


def report(resource: Resource, step: Step, outcome: Settled | Refused) -> Command:
    match outcome:
        case Settled() if step is Step.REMOVE:
            return ConfirmDeleted(uid=resource.uid, seen=resource.position)
        case Settled(status=status):
            msgspec.convert(status, KINDS[resource.ref.kind].status)
            return msgspec.structs.replace(_status(resource, State.ACTIVE), status=status)
        case Refused(reason=reason, message=message):
            refused = _status(resource, State.ERROR)
            return msgspec.structs.replace(refused, reason=reason, message=message)


def _status(resource: Resource, state: State) -> ReportStatus:
    return ReportStatus(
        uid=resource.uid, seen=resource.position, state=state, status=resource.found
    )


async def _say(
    bench: Bench, resource: Resource, command: Command, *, system: bool = False
) -> Handled:
    async with bench.gate:
        return await handle(
            bench.door,
            resource.ref,
            command,
            by=SYSTEM if system else RECONCILER,
            request=f"reconciler-{uuid4().hex}",
            cause=resource.position,
        )
