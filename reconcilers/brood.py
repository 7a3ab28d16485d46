"""The resources that live and die with another: made, kept to their number, and ended."""

from collections.abc import Mapping
from uuid import uuid4

from command.commands import Act, Command, Delete, Put
from command.door import Door
from command.handle import handle
from kinds import KINDS
from model.errors import Conflict, NotFound, Outdated, OverQuota
from model.events import SYSTEM
from model.kind import Companion
from model.shape import Ref, Resource, State

AT_ONCE_MAX = 30
"""Commands for each look: others want to use the log, too."""


async def raised(door: Door, resource: Resource, here: Mapping[Ref, Resource]) -> bool:
    """Make what is missing, end what is too many, ask of each what it is there for; answers whether
    all of it is there and active. `here` is what is not gone of the brood.

    Raises:
        Refusal: the log is away, or one of them breaks a rule, or is over a quota.
    """
    kind = KINDS[resource.ref.kind]
    assert kind.brood is not None, "only a kind with a brood raises one"
    wanted = {Ref(each.kind, each.path): each for each in kind.brood(resource).members}
    surplus = [ref for ref, each in here.items() if ref not in wanted and not each.going]
    commands: list[tuple[Ref, Command]] = [(ref, Delete()) for ref in reversed(surplus)]
    for ref, each in wanted.items():
        command = _next(each, here.get(ref))
        commands += [(ref, command)] if command else []
    for ref, command in commands[:AT_ONCE_MAX]:
        await say(door, resource, ref, command)
    settled = all(ref in here and here[ref].state is State.ACTIVE for ref in wanted)
    return settled and not commands and len(here) == len(wanted)


def _next(each: Companion, here: Resource | None) -> Command | None:
    if here is None:
        return Put(spec=each.spec, expected=0)
    if each.action and not here.power.asked and here.state is State.ACTIVE:
        return Act(action=each.action)
    return None


async def say(door: Door, resource: Resource, ref: Ref, command: Command) -> None:
    """A command of the system, on account of a resource. That somebody was faster, or that it has
    to wait, is no trouble: the next look sees how it is. A quota is: waiting does not help."""
    try:
        await handle(
            door,
            ref,
            command,
            by=SYSTEM,
            request=f"reconciler-{uuid4().hex}",
            cause=resource.position,
        )
    except OverQuota:
        raise
    except (NotFound, Outdated, Conflict):
        pass
