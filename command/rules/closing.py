"""The decision to close a history that cannot be read: a part of `decide` (docs/decisions/040).
Pure."""

from secaplane.command.rules import checks
from secaplane.command.rules.commands import Close, Delete
from secaplane.command.rules.context import Damage, DecisionContext
from secaplane.model.errors import Conflict, Damaged, HistoryIncomplete, PreconditionFailed
from secaplane.model.events import Closed
from secaplane.model.precondition import UNCONDITIONAL

HIDDEN_EVENTS = (
    "this resource is in quarantine: one of its events cannot be decoded or applied, and may be of"
    " another release; ask the operator to upgrade, or to close the resource"
)
UNKNOWN_VERSION = "the version of a resource in quarantine is not known: send no precondition"


def delete(context: DecisionContext, damage: Damage, command: Delete) -> Closed:
    """Bytes that no release writes hide no event. Anything else may be an event that another
    release can read, which only an operator gives up."""
    if damage.missing:
        raise HistoryIncomplete(ref=context.ref)
    if not damage.foreign:
        raise Damaged(HIDDEN_EVENTS, ref=context.ref)
    if command.precondition != UNCONDITIONAL:
        raise PreconditionFailed(UNKNOWN_VERSION)
    return close(context, Close())


def close(context: DecisionContext, command: Close) -> Closed:
    """Every event that is left out may have been an intent, and counts as one."""
    damage, former = context.damage, context.latest
    if damage is None:
        raise Conflict("every event of the resource can be read: delete it instead")
    checks.refuse_blocked(context)
    return Closed(
        since=damage.since,
        version=max((former.version if former else 0) + damage.left_out, damage.version) + 1,
        reason=command.reason or damage.reason,
    )
