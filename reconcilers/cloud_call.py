"""The call of the plugin for one step, with secrets opened and a fence."""

import msgspec

from secaplane.command.companions import ensure_companion
from secaplane.kinds import KINDS
from secaplane.model.errors import QuotaExceeded
from secaplane.model.kind import Backing
from secaplane.model.power import pending_action
from secaplane.model.shape import Resource
from secaplane.plugins.plugin import Bound, Outcome, Ready, TerminalError
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.owned import OVER_QUOTA
from secaplane.reconcilers.plan import Step


async def call_cloud(
    dependencies: ReconcileDependencies, resource: Resource, step: Step, bound: Bound
) -> Outcome:
    """Create the companion if it is missing, then ask the plugin. A kind without a plugin is ready
    at once.

    Raises:
        FenceRejected: another process has taken over; whatever else the plugin or the log raises.
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
    spec = dependencies.sealer.open(kind, resource.life_ids, resource.spec)
    clear = resource if spec is resource.spec else msgspec.structs.replace(resource, spec=spec)
    if step is Step.REMOVE:
        return await plugin.remove(clear, fences.next())
    outcome = await plugin.ensure(clear, bound, fences.next())
    if step is Step.ACT and isinstance(outcome, Ready):
        power = resource.power
        return await plugin.act(clear, bound, pending_action(power), power.requested, fences.next())
    return outcome
