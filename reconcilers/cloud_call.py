"""The call of the plugin for one step, with secrets opened and a fence."""

from collections.abc import Sequence
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
    ToObserve,
)
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import guarded
from secaplane.reconcilers.owned import OVER_QUOTA
from secaplane.reconcilers.plan import Step
from secaplane.sealing.life_sealers import Sealed
from secaplane.sealing.sealer import Sealer, SecretErased

SECRET_ERASED = "SecretErased"
WITHOUT_SECRET = (
    "the key of its secret fields was destroyed: PUT it without them, or delete it and create it"
    " again"
)


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
    if step is Step.REMOVE:
        known = await _clear(dependencies, resource)
        return await fences.call(partial(plugin.remove, known))
    try:
        clear = await _clear(dependencies, resource, erased=False)
    except SecretErased:
        return TerminalError(SECRET_ERASED, WITHOUT_SECRET)
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
    clear = await _clear(dependencies, resource)
    return await dependencies.fences.call(partial(dependencies.plugin.observe, clear))


async def observe_many(
    asked: Sequence[tuple[ReconcileDependencies, Resource]],
) -> Sequence[Observation | Exception]:
    """The actual states of several resources, in one call: for each, in the same order, its state
    or what `observe` would raise. Each one's dependencies are those of its own tenure; the call
    ends when one of them does.

    Raises:
        LeaseLost: another process has taken over one of them, or may have.
        whatever else the plugin raises.
    """
    if not asked:
        return []
    for dependencies, _ in asked:
        await dependencies.fences.may_call()
    named = [ToObserve(await _clear(each, of), each.fences.next()) for each, of in asked]
    sources = {each.fences for each, _ in asked}

    def require() -> None:
        for source in sources:
            source.require()

    plugin = asked[0][0].plugin
    answers = await guarded(plugin.observe_many(named), require)
    if len(answers) != len(named):
        raise ValueError(f"the plugin gave {len(answers)} answers for {len(named)} resources")
    return answers


async def sealer_of(
    dependencies: ReconcileDependencies, resource: Resource, status: Json | None
) -> Sealer:
    """Seals the secrets of a status from the plugin."""
    kind = KINDS[resource.ref.kind]
    held = Sealed(resource.life_ids, resource.spec, resource.observed)
    return await dependencies.sealers.for_status(kind, held, status)


async def _clear(
    dependencies: ReconcileDependencies, resource: Resource, *, erased: bool = True
) -> Resource:
    """The resource with its secrets opened. Those whose key was destroyed are left out.

    Raises:
        SecretErased: there is one, and not `erased`.
    """
    kind, life = KINDS[resource.ref.kind], resource.life_ids
    if not kind.secrets.spec:
        return resource
    sealer = await dependencies.sealers.opening(kind, [Sealed(life, resource.spec, {})])
    spec = (sealer.open_left if erased else sealer.open)(kind, life, resource.spec)
    return resource if spec is resource.spec else msgspec.structs.replace(resource, spec=spec)
