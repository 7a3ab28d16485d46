"""The check after the append of a PUT.

Before the append its parents existed, its references had targets, and the quotas had room; another
event may have changed that meanwhile. An event that is appended after this check is decided with
the PUT in view.
"""

from typing import NamedTuple

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.load import RARELY_CHANGED, load_living
from secaplane.command.gather.quota_usage import quota_limits, quota_violation, reverting
from secaplane.command.gather.rights import CallerPolicy, referenced_refs
from secaplane.command.rules.commands import Delete, Revert
from secaplane.command.rules.context import CallerRights, DecisionContext
from secaplane.command.rules.quotas import needs_recheck
from secaplane.command.rules.references import broken_references
from secaplane.kinds import KINDS, log_ref, parents
from secaplane.kinds.references import targets_of
from secaplane.model.errors import Conflict, NotFound, Refusal, Unavailable, invalid
from secaplane.model.position import Position
from secaplane.model.shape import Resource

COUNTED_S_MAX = 2.0
UNCOUNTED = (
    "the resource is recorded, but its quota could not be checked yet: read it, then try again"
)
UNDO_CREATION = Delete(regardless=True)


class Violation(NamedTuple):
    """The reason why a PUT should not have been recorded, and the compensating command."""

    refusal: Refusal
    command: Delete | Revert
    cause: Position


async def recheck(
    dependencies: CommandDependencies,
    before: Resource | None,
    now: Resource,
    policy: CallerPolicy | None,
) -> Violation | None:
    """The first violation of a recorded PUT; `before` is None where it created the resource.

    Raises:
        LogUnavailable, Unavailable: the log or the read model did not answer.
    """
    violation = None
    if before is None:
        violation = await _parent_violation(dependencies, now) or await _reference_violation(
            dependencies, now, policy
        )
    return violation or await _quota_violation(dependencies, before, now)


async def _parent_violation(dependencies: CommandDependencies, child: Resource) -> Violation | None:
    """A parent that was deleted, or is being deleted, before the child was recorded."""
    cache = dependencies.cache
    for ref in parents(child.ref):
        load = cache.recent if ref.kind in RARELY_CHANGED else cache.current
        refusal = _refusal_by(await load(ref), child, f"{ref.kind} {ref.name}")
        if refusal is not None:
            return Violation(refusal, UNDO_CREATION, child.position)
    return None


def _refusal_by(parent: Resource | None, child: Resource, name: str) -> Refusal | None:
    if parent is None or parent.gone:
        return NotFound(f"{name} not found: it was deleted meanwhile; create it first")
    if parent.terminating:
        return Conflict(f"{name} is being deleted: it accepts no resources")
    if parent.ref.kind == "tenant" and parent.uid != child.tenant:
        return Conflict(f"{name} was deleted and created again meanwhile; try again")
    return None


async def _reference_violation(
    dependencies: CommandDependencies, referrer: Resource, policy: CallerPolicy | None
) -> Violation | None:
    """A target that was deleted before the referrer was recorded: its deletion did not wait for the
    referrer. A deletion that is requested later does."""
    ref, spec, site = referrer.ref, referrer.spec, dependencies.site
    if not targets_of(ref, spec):
        return None
    loaded, readable = referenced_refs(ref, spec, region=site.region, policy=policy)
    context = DecisionContext(
        ref=ref,
        kind=KINDS[ref.kind],
        latest=None,
        targets=await load_living(dependencies.cache, map(log_ref, loaded)),
        site=site,
        rights=CallerRights(readable=readable),
    )
    broken = list(broken_references(context, None, spec))
    return Violation(invalid(broken), UNDO_CREATION, referrer.position) if broken else None


async def _quota_violation(
    dependencies: CommandDependencies, before: Resource | None, now: Resource
) -> Violation | None:
    """The quota check when the read model has counted everything up to this event."""
    if not await quota_limits(dependencies, now.ref, from_cache=True) or not needs_recheck(
        before, now
    ):
        return None
    if not await dependencies.reached([now.position], COUNTED_S_MAX):
        raise Unavailable(UNCOUNTED)
    violation = await quota_violation(dependencies, now)
    if violation is None:
        return None
    command = await reverting(dependencies, now, violation)
    return Violation(violation.refusal, command, violation.position)
