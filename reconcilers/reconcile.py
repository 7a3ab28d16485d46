"""Bring one resource one step closer to what is wanted, and report."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import uuid4

import msgspec

from secaplane.command.companions import accompany
from secaplane.command.dependencies import Door
from secaplane.command.gather.quota_usage import taking_back
from secaplane.command.handle import Handled, handle
from secaplane.command.rules.commands import Command, ConfirmDeleted, Delete, ReportStatus
from secaplane.kinds import KINDS, dropped
from secaplane.model.errors import OverQuota
from secaplane.model.events import RECONCILER, SYSTEM
from secaplane.model.power import wanted
from secaplane.model.shape import NOWHERE, Json, Position, Ref, Resource, State
from secaplane.plugins import Bound, Outcome, Plugin, Refused, Settled, Working
from secaplane.reconcilers.owned import AT_ONCE_MAX, OVER_QUOTA, raised, say
from secaplane.reconcilers.plan import Plan, Step, Surroundings, plan
from secaplane.reconcilers.related import Family, surroundings
from secaplane.reconcilers.release import release
from secaplane.sealing.sealer import Sealer

LOG_WORK_MAX = 3
WAIT_S = 1.0
"""When to look again at what waits, should nothing wake it."""
BROOD_S = 0.3
"""When to look again at a brood that grows."""


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
    family: Family
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LOG_WORK_MAX))


async def reconcile(bench: Bench, ref: Ref, news: Position = NOWHERE) -> Again | None:
    """One look, one step, one report; None when there is nothing left to do. Where the read model
    is asked, it knows of `news`, a position.

    Raises:
        whatever the plugin or the log raises: the worker looks again later.
    """
    async with bench.gate:
        resource = await bench.door.folds.fresh(ref)
        around, bound = await surroundings(bench.door, bench.family, resource, news)
        todo = plan(resource, around)
    if todo.step is Step.REST or resource is None:
        return None
    if todo.step is Step.TAKE_BACK:
        await _take_back(bench, resource, around)
        return Again(0)
    if todo.step is Step.END:
        return await _end(bench, resource, around)
    if todo.step is Step.WAIT:
        return await _wait(bench, resource, todo)
    return await _taken(bench, resource, todo.step, bound)


async def _taken(bench: Bench, resource: Resource, step: Step, bound: Bound) -> Again | None:
    outcome = await _take(step, bench, resource, bound)
    if isinstance(outcome, Settled) and step is not Step.REMOVE:
        outcome = await _with_brood(bench, resource, outcome)
    if isinstance(outcome, Working):
        if resource.state is State.PENDING:
            await _say(bench, resource, _status(resource, State.CREATING))
        return Again(outcome.look_again_s)
    if step is Step.REFRESH and isinstance(outcome, Refused):
        return None  # nobody asked for anything: it stays as it is until somebody does
    removed = step is Step.REMOVE and isinstance(outcome, Settled)
    if removed and not await _released(bench, resource):
        return Again(0)
    handled = await _say(bench, resource, report(bench.sealer, resource, step, outcome))
    if step is Step.REMOVE and handled.event is None:
        return Again(WAIT_S)  # something was put into it meanwhile, and has to go first
    now = handled.resource
    if now is not None and now.intended > resource.intended:
        return Again(0)  # somebody wants something else by now, whoever may have told us
    return None


async def _take_back(bench: Bench, resource: Resource, around: Surroundings) -> None:
    """What is taken back should never have been, so whatever lies in it or uses it is no reason."""
    over = around.over
    if over is None:
        await _say(bench, resource, Delete(regardless=True), system=True)
    else:
        command = await taking_back(bench.door, resource, over)
        await _say(bench, resource, command, system=True, cause=over.position)


async def _end(bench: Bench, resource: Resource, around: Surroundings) -> Again:
    """Delete what goes with it, some at a time."""
    for ref in around.ending[:AT_ONCE_MAX]:
        async with bench.gate:
            await say(bench.door, resource, ref, Delete())
    return Again(BROOD_S, around.ending[0])


async def _wait(bench: Bench, resource: Resource, todo: Plan) -> Again:
    """Says for what, in the newest entry, without adding one."""
    awaited = todo.waits_for
    assert awaited is not None, "a plan that waits names what for"
    words = "".join(part.capitalize() for part in awaited.kind.split("-"))
    command = msgspec.structs.replace(
        _status(resource, resource.state),
        reason=f"WaitingFor{words}",
        message=f"waits until {awaited.kind} {awaited.name} is {todo.until}",
    )
    await _say(bench, resource, command)
    return Again(WAIT_S, awaited)


async def _take(step: Step, bench: Bench, resource: Resource, bound: Bound) -> Outcome:
    kind = KINDS[resource.ref.kind]
    if step is not Step.REMOVE:
        try:
            await accompany(bench.door, resource, request=f"reconciler-{resource.uid}")
        except OverQuota as refusal:
            return Refused(OVER_QUOTA, refusal.detail)
    if kind.offered or not kind.by_plugin:
        return Settled()
    opened = bench.sealer.open(kind, resource.ref, resource.spec)
    clear = resource if opened is resource.spec else msgspec.structs.replace(resource, spec=opened)
    if step is Step.REMOVE:
        return await bench.plugin.remove(clear)
    outcome = await bench.plugin.ensure(clear, bound)
    if step is Step.ACT and isinstance(outcome, Settled):
        power = resource.power
        return await bench.plugin.act(clear, bound, wanted(power), power.asked)
    return outcome


async def _with_brood(bench: Bench, resource: Resource, settled: Settled) -> Outcome:
    """It is so when all that belongs to it is so, too."""
    kind = KINDS[resource.ref.kind]
    if kind.brood is None:
        return settled
    here = await bench.family(resource)
    async with bench.gate:
        growth = await raised(bench.door, resource, here)
    if growth.trouble:
        return Refused(*growth.trouble)
    if not growth.done:
        await _say(bench, resource, _growing(resource))
        return Working(BROOD_S if growth.busy else WAIT_S)
    members = [Ref(each.kind, each.path) for each in kind.brood(resource).members]
    return Settled(settled.status | kind.brood_status(members))


def _growing(resource: Resource) -> ReportStatus:
    state = State.CREATING if resource.state is State.PENDING else resource.state
    return msgspec.structs.replace(
        _status(resource, state),
        reason="WaitingForMembers",
        message="waits until all that belongs to it is active",
    )


async def _released(bench: Bench, resource: Resource) -> bool:
    """Nobody's spec names it any more, where it is not to be named when it is gone."""
    kinds = dropped(KINDS[resource.ref.kind])
    users = await bench.door.named_by(resource.ref, kinds) if kinds else ()
    done = True
    for user in users:
        async with bench.gate:
            done = await release(bench.door, user, resource) and done
    return done


def report(sealer: Sealer, resource: Resource, step: Step, outcome: Settled | Refused) -> Command:
    kind = KINDS[resource.ref.kind]
    match outcome:
        case Settled() if step is Step.REMOVE:
            return ConfirmDeleted(uid=resource.uid, seen=resource.position)
        case Settled(status=found):
            msgspec.convert(found, kind.status)
            sealed = sealer.seal_status(kind, resource.ref, found, resource.found)
            return _status(resource, State.ACTIVE, sealed)
        case Refused(reason=reason, message=message):
            refused = _status(resource, State.ERROR)
            return msgspec.structs.replace(refused, reason=reason, message=message)


def _status(resource: Resource, state: State, found: Json | None = None) -> ReportStatus:
    return ReportStatus(
        uid=resource.uid,
        seen=resource.position,
        state=state,
        status=resource.found if found is None else found,
    )


async def _say(
    bench: Bench,
    resource: Resource,
    command: Command,
    *,
    system: bool = False,
    cause: Position | None = None,
) -> Handled:
    async with bench.gate:
        return await handle(
            bench.door,
            resource.ref,
            command,
            by=SYSTEM if system else RECONCILER,
            request=f"reconciler-{uuid4().hex}",
            cause=resource.position if cause is None else cause,
        )
