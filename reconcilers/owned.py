"""Owned resources: created, kept to their number, and deleted with their owner."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import uuid4

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Act, Command, Delete, Put
from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM
from secaplane.model.errors import Conflict, Invalid, NotFound, PreconditionFailed, QuotaExceeded
from secaplane.model.kind import CompanionResource
from secaplane.model.precondition import ABSENT
from secaplane.model.shape import Ref, Resource, State
from secaplane.plugins.plugin import InProgress, Outcome, Ready, TerminalError
from secaplane.reconcilers.dependencies import ReconcileDependencies, record
from secaplane.reconcilers.reports import members_report

AT_ONCE_MAX = 30
"""Commands of one reconciliation: other resources share the log."""
RETRY_S = 0.3
"""When to reconcile again while owned resources are being created or deleted."""
WAIT_S = 1.0
"""When to reconcile again while nothing but waiting is left."""
FAILED, OVER_QUOTA = "MemberFailed", "QuotaExceeded"


class OwnedProgress(NamedTuple):
    """Progress of all owned resources; `busy` while commands about them were appended."""

    done: bool
    busy: bool
    failure: TerminalError | None = None


async def with_owned(
    dependencies: ReconcileDependencies, resource: Resource, ready: Ready
) -> Outcome:
    """The outcome of a resource whose own part is ready: Ready when every owned resource is
    active, too."""
    kind = KINDS[resource.ref.kind]
    if kind.owned.members is None:
        return ready
    current = await dependencies.load_owned(resource)
    async with dependencies.gate:
        progress = await reconcile_owned(dependencies.commands, resource, current)
    if progress.failure:
        return progress.failure
    if not progress.done:
        await record(dependencies, resource, members_report(resource))
        return InProgress(RETRY_S if progress.busy else WAIT_S)
    members = [Ref(each.kind, each.path) for each in kind.owned.members(resource).members]
    return Ready(ready.status | kind.owned.status(members))


async def reconcile_owned(
    dependencies: CommandDependencies, resource: Resource, current: Mapping[Ref, Resource]
) -> OwnedProgress:
    """Delete surplus owned resources, create missing ones, request their actions. `current` holds
    the owned resources that are not gone.

    Raises:
        Refusal: the log does not answer.
    """
    kind = KINDS[resource.ref.kind]
    assert kind.owned.members is not None, "only kinds with owned resources are reconciled here"
    desired = {Ref(each.kind, each.path): each for each in kind.owned.members(resource).members}
    surplus = [ref for ref, each in current.items() if ref not in desired and not each.terminating]
    commands: list[tuple[Ref, Command]] = [(ref, Delete()) for ref in reversed(surplus)]
    for ref, each in desired.items():
        member = current.get(ref)
        if member is not None and member.state is State.ERROR:
            return OwnedProgress(False, False, _failure(ref, _reason(member)))
        command = _next_command(each, member)
        commands += [(ref, command)] if command else []
    for ref, command in commands[:AT_ONCE_MAX]:
        failure = await command_owned(dependencies, resource, ref, command)
        if failure:
            return OwnedProgress(False, True, failure)
    settled = all(ref in current and current[ref].state is State.ACTIVE for ref in desired)
    return OwnedProgress(settled and not commands and len(current) == len(desired), bool(commands))


async def delete_cascading(
    dependencies: ReconcileDependencies, resource: Resource, ending: Sequence[Ref]
) -> None:
    """Request the deletion of what is deleted with the resource, a bounded number at a time."""
    for ref in ending[:AT_ONCE_MAX]:
        async with dependencies.gate:
            await command_owned(dependencies.commands, resource, ref, Delete())


def _failure(ref: Ref, message: str, reason: str = FAILED) -> TerminalError:
    return TerminalError(reason, f"{ref.kind} {ref.name}: {message}")


def _reason(member: Resource) -> str:
    newest = member.conditions[0]
    return newest.message or newest.reason or "it failed"


def _next_command(each: CompanionResource, current: Resource | None) -> Command | None:
    if current is None:
        return Put(spec=each.spec, precondition=ABSENT)
    if each.action and not current.power.requested and current.state is State.ACTIVE:
        return Act(action=each.action)
    return None


async def command_owned(
    dependencies: CommandDependencies, resource: Resource, ref: Ref, command: Command
) -> TerminalError | None:
    """Handle a command of the system, caused by the owner. Answers a refusal that waiting does not
    resolve, such as a quota; a conflict is resolved by the next reconciliation."""
    try:
        await handle(
            dependencies,
            ref,
            command,
            actor=SYSTEM,
            request=f"reconciler-{uuid4().hex}",
            cause=resource.position,
        )
    except QuotaExceeded as refusal:
        return _failure(ref, refusal.detail, OVER_QUOTA)
    except Invalid as refusal:
        return _failure(ref, refusal.detail)
    except PreconditionFailed:
        mine = await _created_by_system(dependencies, ref)
        return None if mine else _failure(ref, "the name is taken by another resource")
    except (NotFound, Conflict):
        pass
    return None


async def _created_by_system(dependencies: CommandDependencies, ref: Ref) -> bool:
    """True also where the resource is gone by now."""
    current = await dependencies.cache.current(ref)
    if current is None or current.gone:
        return True
    created = await dependencies.log.read(ref, after=current.life.moved(-1), up_to=current.life)
    return created[0].actor == SYSTEM
