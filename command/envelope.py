"""A command on its way to the log: the data that is recorded beside its event, the life that the
event is of, and the secrets sealed for that life."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.rights import CallerPolicy
from secaplane.command.rules.commands import Command, Put
from secaplane.command.rules.context import DecisionContext
from secaplane.eventlog.codec import NewEvent
from secaplane.model.actor import Actor
from secaplane.model.events import AnyEvent, DesiredState
from secaplane.model.kind import Kind
from secaplane.model.position import Position
from secaplane.model.shape import LifeIds, Ref

CLOCK_STEP = timedelta(milliseconds=1)


class CommandEnvelope(msgspec.Struct, frozen=True):
    """A command, and the data that is recorded beside its event."""

    ref: Ref
    command: Command
    actor: Actor
    request: str
    cause: Position
    policy: CallerPolicy | None = None
    """None: the control plane's own command, which may refer to everything."""
    required: Sequence[Ref] = ()
    """Resources that must exist for a PUT, besides its parents."""


def enveloped(
    dependencies: CommandDependencies,
    envelope: CommandEnvelope,
    context: DecisionContext,
    event: AnyEvent,
    life: LifeIds,
) -> NewEvent:
    """The event with its envelope. Its time is the clock's, but at least a millisecond after the
    resource's last event."""
    latest, now = context.latest, dependencies.clock()
    return NewEvent(
        ref=envelope.ref,
        uid=life.uid,
        tenant=life.tenant,
        time=max(now, latest.time + CLOCK_STEP) if latest else now,
        request=envelope.request,
        cause=envelope.cause,
        previous=context.position,
        salt=dependencies.new_salt(),
        actor=envelope.actor,
        event=event,
    )


def life_of(
    dependencies: CommandDependencies, context: DecisionContext, command: Command
) -> LifeIds:
    """The life that the event is of: the present one, or the one that a PUT begins."""
    latest = context.latest
    if latest is not None and not (latest.gone and isinstance(command, Put)):
        return latest.life_ids
    uid = dependencies.new_uid()
    return LifeIds(_tenant(context, uid), uid)


async def sealed(
    dependencies: CommandDependencies, kind: Kind, command: Command, event: AnyEvent, life: LifeIds
) -> AnyEvent:
    """The event with the secrets of its spec sealed. Only a PUT brings some in clear; what a Revert
    restores is sealed already. A PUT that is refused makes no key.

    Raises:
        Conflict: the key of this life was destroyed.
        Unavailable: the keys do not answer.
    """
    if not isinstance(command, Put) or not kind.secrets.spec or not isinstance(event, DesiredState):
        return event
    return msgspec.structs.replace(event, spec=await dependencies.seal(kind, life, event.spec))


def _tenant(context: DecisionContext, uid: str) -> str:
    """The uid of the tenant's life that contains a new resource; a tenant contains itself."""
    if context.kind.name == "tenant":
        return uid
    tenants = (parent for ref, parent in context.parents.items() if ref.kind == "tenant")
    tenant = next(tenants, None)
    return tenant.uid if tenant is not None else ""
