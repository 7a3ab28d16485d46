"""The resources that live and die with another: made, kept to their number, and ended."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import uuid4

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Act, Command, Delete, Put
from secaplane.kinds import KINDS
from secaplane.model.errors import Conflict, Invalid, NotFound, PreconditionFailed, QuotaExceeded
from secaplane.model.events import SYSTEM
from secaplane.model.kind import CompanionResource
from secaplane.model.shape import Ref, Resource, State

AT_ONCE_MAX = 30
"""Commands for each look: others want to use the log, too."""
FAILED, OVER_QUOTA = "MemberFailed", "QuotaExceeded"


class OwnedFailure(NamedTuple):
    """Why something cannot go on by itself, as conditions say it."""

    reason: str
    message: str


class OwnedProgress(NamedTuple):
    """How far a brood has come, and what keeps it from going on by itself."""

    done: bool
    busy: bool
    trouble: OwnedFailure | None = None


async def reconcile_owned(
    dependencies: CommandDependencies, resource: Resource, here: Mapping[Ref, Resource]
) -> OwnedProgress:
    """Make what is missing, end what is too many, ask of each what it is there for. `here` is what
    is not gone of the brood.

    Raises:
        Refusal: the log is away.
    """
    kind = KINDS[resource.ref.kind]
    assert kind.owned.members is not None, "only a kind with a brood raises one"
    wanted = {Ref(each.kind, each.path): each for each in kind.owned.members(resource).members}
    surplus = [ref for ref, each in here.items() if ref not in wanted and not each.terminating]
    commands: list[tuple[Ref, Command]] = [(ref, Delete()) for ref in reversed(surplus)]
    for ref, each in wanted.items():
        member = here.get(ref)
        if member is not None and member.state is State.ERROR:
            return OwnedProgress(False, False, _trouble(ref, _said(member)))
        command = _next(each, member)
        commands += [(ref, command)] if command else []
    for ref, command in commands[:AT_ONCE_MAX]:
        trouble = await say(dependencies, resource, ref, command)
        if trouble:
            return OwnedProgress(False, True, trouble)
    settled = all(ref in here and here[ref].state is State.ACTIVE for ref in wanted)
    return OwnedProgress(settled and not commands and len(here) == len(wanted), bool(commands))


def _trouble(ref: Ref, message: str, reason: str = FAILED) -> OwnedFailure:
    return OwnedFailure(reason, f"{ref.kind} {ref.name}: {message}")


def _said(member: Resource) -> str:
    newest = member.conditions[0]
    return newest.message or newest.reason or "it failed"


def _next(each: CompanionResource, here: Resource | None) -> Command | None:
    if here is None:
        return Put(spec=each.spec, expected=0)
    if each.action and not here.power.requested and here.state is State.ACTIVE:
        return Act(action=each.action)
    return None


async def say(
    dependencies: CommandDependencies, resource: Resource, ref: Ref, command: Command
) -> OwnedFailure | None:
    """A command of the system, on account of a resource; answers what is wrong with it for good.
    That somebody was faster, or that it has to wait, is no trouble: the next look sees how it is.
    A quota is: waiting does not help."""
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
        return _trouble(ref, refusal.detail, OVER_QUOTA)
    except Invalid as refusal:
        return _trouble(ref, refusal.detail)
    except PreconditionFailed:
        return (
            None
            if await _ours(dependencies, ref)
            else _trouble(ref, "somebody else's has that name")
        )
    except (NotFound, Conflict):
        pass
    return None


async def _ours(dependencies: CommandDependencies, ref: Ref) -> bool:
    """Whether the house made what lives there; or nobody, by now."""
    here = await dependencies.cache.current(ref)
    if here is None or here.gone:
        return True
    created = await dependencies.log.read(ref, after=here.life.moved(-1), up_to=here.life)
    return created[0].actor == SYSTEM
