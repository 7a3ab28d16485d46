"""The author of a role assignment: the caller whose PUT its desired state is. Pure.

Not the control plane, although it changes desired state, too: it takes out names that are gone
(the author stays), and it reverts a PUT (the former desired state has its former author).
"""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Author, Moment, Resource

AUTHORED_KINDS = frozenset({"role-assignment"})
"""Kinds whose author's rights are judged later."""


def author_after(former: Resource | None, recorded: RecordedEvent) -> Author | UnsetType:
    """The author after a `Created` (`former` is None) or an `Updated`."""
    if recorded.ref.kind not in AUTHORED_KINDS:
        return UNSET
    before = former.author if former is not None else UNSET
    if isinstance(before, Author) and recorded.actor == SYSTEM:
        reverted = recorded.cause == before.written.position
        return before.former if reverted and isinstance(before.former, Author) else before
    actor = recorded.actor if isinstance(recorded.actor, Actor) else Actor(sub="")
    return Author(
        written=Moment(recorded.position, recorded.time),
        issuer=actor.issuer,
        sub=actor.sub,
        groups=actor.groups,
        former=replace(before, former=UNSET) if isinstance(before, Author) else UNSET,
    )
