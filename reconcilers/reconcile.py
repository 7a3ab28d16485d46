"""One reconciliation: read the current state, take one step towards the desired state, report.

Level-triggered and idempotent: the address alone decides what is done, so a reconciliation may run
at any time and any number of times.
"""

from typing import NamedTuple

from secaplane.command.companions import delete_companion
from secaplane.command.gather.quota_usage import reverting
from secaplane.command.rules.commands import Delete
from secaplane.kinds import KINDS
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource, State
from secaplane.plugins.plugin import Bound, InProgress, Ready, TerminalError
from secaplane.reconcilers.cloud_call import call_cloud, sealer_of, status_after_error
from secaplane.reconcilers.dependencies import ReconcileDependencies, record
from secaplane.reconcilers.owned import RETRY_S, delete_cascading, with_owned
from secaplane.reconcilers.plan import RelatedResources, Step, plan
from secaplane.reconcilers.related import load_related
from secaplane.reconcilers.release import release_referrers
from secaplane.reconcilers.reports import (
    broken_report,
    creating_report,
    outcome_report,
    waiting_report,
)

WAIT_S = 1.0  # before a waiting resource is reconciled again, should no event wake it


class RequeueAfter(NamedTuple):
    """Reconcile again after that many seconds, or at once on an event of `waits_for`."""

    seconds: float
    waits_for: Ref | None = None


async def reconcile(
    dependencies: ReconcileDependencies, ref: Ref, woken_by: Position = BEGINNING
) -> RequeueAfter | None:
    """One step, one report; None when nothing is left to do. What is read includes the event at
    `woken_by`, and may be what the follower has delivered: the append of the report fails if there
    is more.

    Raises:
        whatever the plugin or the log raises: the caller requeues with backoff.
    """
    async with dependencies.gate:
        cache = dependencies.commands.cache
        resource = cache.as_of(ref, woken_by) or await cache.current(ref)
        related, bound = await load_related(
            dependencies.commands, dependencies.load_owned, resource, woken_by
        )
    if resource is not None and resource.gone:
        return await _after_closing(dependencies, resource)
    todo = plan(resource, related, repaired=dependencies.repaired)
    if resource is None or todo.step is Step.NOTHING:
        return None
    match todo.step:
        case Step.REVERT:
            await _revert(dependencies, resource, related)
            return RequeueAfter(0)
        case Step.CASCADE:
            await delete_cascading(dependencies, resource, related.ending)
            return RequeueAfter(RETRY_S, related.ending[0])
        case Step.REFUSE:
            await record(dependencies, resource, broken_report(resource, related.broken))
            return None
        case Step.WAIT:
            await record(dependencies, resource, waiting_report(resource, todo))
            return RequeueAfter(WAIT_S, todo.waits_for)
    return await _apply(dependencies, resource, todo.step, bound)


async def _after_closing(
    dependencies: ReconcileDependencies, resource: Resource
) -> RequeueAfter | None:
    """Of resources that are gone only those are reconciled whose history was closed. Nothing was
    done for their removal before: grants that name them, and their companion, go now."""
    released = await release_referrers(dependencies, resource)
    async with dependencies.gate:
        request = f"reconciler-{resource.uid}"
        await delete_companion(dependencies.commands, resource, request=request)
    return None if released else RequeueAfter(0)


async def _apply(
    dependencies: ReconcileDependencies, resource: Resource, step: Step, bound: Bound
) -> RequeueAfter | None:
    outcome = await call_cloud(dependencies, resource, step, bound)
    if isinstance(outcome, Ready) and step is not Step.REMOVE:
        outcome = await with_owned(dependencies, resource, outcome)
    if isinstance(outcome, InProgress):
        if resource.state is State.PENDING:
            await record(dependencies, resource, creating_report(resource))
        return RequeueAfter(outcome.requeue_after_s)
    fails = KINDS[resource.ref.kind].fails_with_target
    if step is Step.REFRESH and isinstance(outcome, TerminalError) and not fails:
        return None  # no user asked for a change: the resource keeps its state
    removed = step is Step.REMOVE and isinstance(outcome, Ready)
    if removed and not await release_referrers(dependencies, resource):
        return RequeueAfter(0)
    actual = None
    if isinstance(outcome, TerminalError):
        actual = await status_after_error(dependencies, resource, step)
    reported = outcome.status if isinstance(outcome, Ready) else actual
    sealer = await sealer_of(dependencies, resource, reported)
    report = outcome_report(sealer, resource, step, outcome, actual)
    result = await record(dependencies, resource, report)
    if step is Step.REMOVE and result.event is None:
        return RequeueAfter(WAIT_S)  # a child was created meanwhile and has to go first
    current = result.resource
    changed = current is not None and current.last_intent > resource.last_intent
    return RequeueAfter(0) if changed else None


async def _revert(
    dependencies: ReconcileDependencies, resource: Resource, related: RelatedResources
) -> None:
    """Append the compensating command; children and referrers do not prevent it."""
    over, violation = related.over, related.violation
    if violation is not None:
        command = violation.command
        await record(dependencies, resource, command, system=True, cause=violation.cause)
    elif over is None:
        await record(dependencies, resource, Delete(regardless=True), system=True)
    else:
        reverted = await reverting(dependencies.commands, resource, over)
        await record(dependencies, resource, reverted, system=True, cause=over.position)
