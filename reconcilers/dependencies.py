"""Dependencies of a reconciler, and the append of its commands."""

from dataclasses import dataclass, field, replace
from uuid import uuid4

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import CommandResult, handle
from secaplane.command.rules.commands import Command
from secaplane.model.actor import RECONCILER, SYSTEM
from secaplane.model.position import Position
from secaplane.model.shape import Resource
from secaplane.plugins.plugin import Plugin
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.gate import Entrance, Gate
from secaplane.reconcilers.leases.tenure import Tenure
from secaplane.reconcilers.related import LoadOwned
from secaplane.sealing.life_sealers import LifeSealers

LOG_WORK_MAX = 3


@dataclass(frozen=True)
class ReconcileDependencies:
    """The gate bounds how many reconcilers ask the log and the read model at the same time, however
    many wait for the cloud: writes of users go first."""

    commands: CommandDependencies
    plugin: Plugin
    fences: FenceSource
    sealers: LifeSealers
    load_owned: LoadOwned
    repaired: frozenset[str] = frozenset()
    """The kinds whose drift is repaired."""
    shared_gate: Gate = field(default_factory=lambda: Gate(LOG_WORK_MAX))
    background: bool = False
    """True for a removal, which waits at the gate until creations and changes have passed."""

    @property
    def gate(self) -> Entrance:
        return self.shared_gate.entrance(background=self.background)

    def under(self, tenure: Tenure, *, background: bool) -> "ReconcileDependencies":
        """For one reconciliation: its calls of the cloud and its appends raise LeaseLost when the
        tenure that it began under is over, also if the partition was taken again since."""
        commands = replace(self.commands, permitted=tenure.require)
        return replace(self, commands=commands, fences=tenure.fences, background=background)


async def record(
    dependencies: ReconcileDependencies,
    resource: Resource,
    command: Command,
    *,
    system: bool = False,
    cause: Position | None = None,
) -> CommandResult:
    """Handle a command about the resource, as the reconciler or as the system. The log bounds how
    many events are appended at the same time (`eventlog.jetstream.shared_sync`)."""
    return await handle(
        dependencies.commands,
        resource.ref,
        command,
        actor=SYSTEM if system else RECONCILER,
        request=f"reconciler-{uuid4().hex}",
        cause=resource.position if cause is None else cause,
    )
