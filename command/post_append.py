"""What only shows once a PUT is recorded: the look after the append.

Before it, a parent was there, and what the spec refers to, and there was room in the quotas; in
between, somebody else may have been faster. Whatever comes after this look sees what is recorded.
"""

from typing import NamedTuple

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import RARELY_CHANGED, CallerRights, DecisionContext, load_living
from secaplane.command.gather.quota_usage import quota_limits, quota_violation, reverting
from secaplane.command.rules.commands import Delete, Revert
from secaplane.command.rules.quotas import needs_recheck
from secaplane.command.rules.references import asked, broken_references
from secaplane.kinds import KINDS, log_ref, parents
from secaplane.kinds.references import targets_of
from secaplane.model.errors import Conflict, NotFound, Refusal, Unavailable, invalid
from secaplane.model.position import Position
from secaplane.model.shape import Resource

COUNTED_S_MAX = 2.0
UNCOUNTED = "it is recorded; whether the quota allows it is not known yet; read it, then try again"
WHOLE = Delete(regardless=True)


class Violation(NamedTuple):
    """Why something should not have been recorded, how it is taken back, and on whose account."""

    refusal: Refusal
    taken_back: Delete | Revert
    cause: Position


async def recheck(
    dependencies: CommandDependencies, before: Resource | None, now: Resource, rights: CallerRights
) -> Violation | None:
    """What is wrong with a PUT that is recorded; `before` is None where it has created. The first
    thing that is wrong is enough: it is taken back for that, and what else is wrong goes with it.

    Raises:
        Unanswered, Unavailable: nobody can say now.
    """
    wrong = None
    if before is None:
        wrong = await _orphan(dependencies, now) or await _bereft(dependencies, now, rights)
    return wrong or await _over(dependencies, before, now)


async def _orphan(dependencies: CommandDependencies, child: Resource) -> Violation | None:
    """A parent that was going all the while, or is gone."""
    for parent in parents(child.ref):
        here = await (
            dependencies.cache.recent
            if parent.kind in RARELY_CHANGED
            else dependencies.cache.current
        )(parent)
        if here is None or here.gone:
            refusal: Refusal = NotFound(f"{parent.kind} {parent.name} does not exist any more")
            return Violation(refusal, WHOLE, child.position)
        if here.terminating:
            refusal = Conflict(f"{parent.kind} {parent.name} is being deleted")
            return Violation(refusal, WHOLE, child.position)
        if parent.kind == "tenant" and here.uid != child.tenant:
            refusal = Conflict(f"tenant {parent.name} was deleted and created again; try again")
            return Violation(refusal, WHOLE, child.position)
    return None


async def _bereft(
    dependencies: CommandDependencies, user: Resource, rights: CallerRights
) -> Violation | None:
    """What it refers to was there when it was judged. Whatever was deleted in between, before this
    was recorded, has not seen it and waits for nobody; what is deleted after that, waits."""
    ref, spec = user.ref, user.spec
    if not targets_of(ref, spec):
        return None
    addresses = asked(ref, spec, region=dependencies.site.region, sees=rights.sees)
    targets = await load_living(dependencies.cache, map(log_ref, addresses))
    context = DecisionContext(
        ref=ref,
        kind=KINDS[ref.kind],
        latest=None,
        targets=targets,
        site=dependencies.site,
        rights=rights,
    )
    broken = list(broken_references(context, None, spec))
    return Violation(invalid(broken), WHOLE, user.position) if broken else None


async def _over(
    dependencies: CommandDependencies, before: Resource | None, now: Resource
) -> Violation | None:
    """The second look at a tenant's quotas, when everything up to this event is counted."""
    if not await quota_limits(dependencies, now.ref, from_cache=True) or not needs_recheck(
        before, now
    ):
        return None
    if not await dependencies.reached([now.position], COUNTED_S_MAX):
        raise Unavailable(UNCOUNTED)
    too_much = await quota_violation(dependencies, now)
    if too_much is None:
        return None
    command = await reverting(dependencies, now, too_much)
    return Violation(too_much.refusal, command, too_much.position)
