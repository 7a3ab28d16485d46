"""The call of the plugin for one step, with secrets opened and a fence."""

from functools import partial

import msgspec

from secaplane.command.companions import ensure_companion
from secaplane.kinds import KINDS
from secaplane.model.errors import QuotaExceeded
from secaplane.model.kind import Backing
from secaplane.model.power import pending_action
from secaplane.model.shape import Json, Resource
from secaplane.plugins.plugin import (
    Absent,
    Bound,
    Observation,
    Observed,
    Outcome,
    Ready,
    TerminalError,
)
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.owned import OVER_QUOTA
from secaplane.reconcilers.plan import Step


async def call_cloud(
    dependencies: ReconcileDependencies, resource: Resource, step: Step, bound: Bound
) -> Outcome:
    """Create the companion if it is missing, then ask the plugin. A kind without a plugin is ready
    at once.

    Raises:
        LeaseLost, FenceRejected: another process has taken over, or may have.
        whatever else the plugin or the log raises.
    """
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
    plugin, fences = dependencies.plugin, dependencies.fences
    clear = _clear(dependencies, resource)
    if step is Step.REMOVE:
        return await fences.call(partial(plugin.remove, clear))
    outcome = await fences.call(partial(plugin.ensure, clear, bound))
    if step is Step.ACT and isinstance(outcome, Ready):
        power = resource.power
        act = partial(plugin.act, clear, bound, pending_action(power), power.requested)
        return await fences.call(act)
    return outcome


async def status_after_error(
    dependencies: ReconcileDependencies, resource: Resource, step: Step
) -> Json | None:
    """The actual status of a resource whose change failed: the cloud may have done a part of it.
    None where the cloud has nothing of it, or it is being removed.

    Raises:
        LeaseLost, FenceRejected: another process has taken over, or may have.
        whatever else the plugin raises.
    """
    if step is Step.REMOVE or KINDS[resource.ref.kind].backing is not Backing.PLUGIN:
        return None
    match await observe(dependencies, resource):
        case Observed(status=status):
            return status
        case Absent():
            return None


async def observe(dependencies: ReconcileDependencies, resource: Resource) -> Observation:
    """The actual state of a resource in the cloud.

    Raises:
        LeaseLost, FenceRejected: another process has taken over, or may have.
        whatever else the plugin raises.
    """
    clear = _clear(dependencies, resource)
    return await dependencies.fences.call(partial(dependencies.plugin.observe, clear))


def _clear(dependencies: ReconcileDependencies, resource: Resource) -> Resource:
    """The resource with its secrets opened."""
    kind = KINDS[resource.ref.kind]
    spec = dependencies.sealer.open(kind, resource.life_ids, resource.spec)
    return resource if spec is resource.spec else msgspec.structs.replace(resource, spec=spec)
