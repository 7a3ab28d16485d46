"""The check after the append of a PUT or a DELETE.

Before the append its parents existed, its references had targets, no other resource stood against
it, and the quotas had room; another event may have changed that meanwhile. Of two writes that
exclude each other the one with the lower position stays: this check counts each other resource as
it was at the position of the write, and a write that does not stand is reverted by a compensating
command. The reconciler asks the same before it calls the plugin (`reconcilers.related`).
"""

from collections.abc import Iterator, Mapping, Sequence

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.gather.elsewhere import parent_elsewhere
from secaplane.command.gather.intents import recorded_intent
from secaplane.command.gather.load import RARELY_CHANGED
from secaplane.command.gather.quota_usage import quota_limits, quota_violation, reverting
from secaplane.command.gather.related import blockable_refs, load_targets
from secaplane.command.gather.rights import CallerPolicy, readable_blockers, referenced_refs
from secaplane.command.gather.uses import as_of, earlier_referrers, use_conflicts
from secaplane.command.rules.checks import CONTAINS, IN_USE, blocked
from secaplane.command.rules.commands import Delete, Put, Revert, Violation
from secaplane.command.rules.compared import Intent, last_change, proposed_spec, root_of
from secaplane.command.rules.context import CallerRights, DecisionContext
from secaplane.command.rules.quotas import needs_recheck
from secaplane.command.rules.references import broken_references
from secaplane.kinds import CATALOGUE_KINDS, KINDS, children, log_ref, parents
from secaplane.model.errors import (
    BrokenRule,
    Conflict,
    NotFound,
    ProblemSource,
    Refusal,
    Unavailable,
)
from secaplane.model.kind import Link
from secaplane.model.past import SpecChange
from secaplane.model.pointer import every
from secaplane.model.position import Position
from secaplane.model.rules import ComparedRule
from secaplane.model.shape import Json, Ref, Resource

REACHED_S_MAX = 2.0
UNCHECKED = "the write is recorded, but could not be checked yet: read the resource, then try again"
MEANWHILE = "another request came first: "
UNDO_CREATION = Delete(regardless=True)


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
        violation = await _parent_violation(dependencies, now)
    if violation is None and (before is None or _may_compare(before, now)):
        intent = await recorded_intent(dependencies, before, now)
        violation = await rule_violation(dependencies, intent, now, policy)
    return violation or await _quota_violation(dependencies, before, now)


def _may_compare(before: Resource, now: Resource) -> bool:
    """False for a PUT that changes no field, after one that a reconciler has answered."""
    kind = KINDS[now.ref.kind]
    unanswered = kind.is_related and before.observed_position < before.last_intent
    return unanswered or (bool(kind.links) and before.spec != now.spec)


async def _parent_violation(dependencies: CommandDependencies, child: Resource) -> Violation | None:
    """A parent that was deleted, or is being deleted, before the child was recorded."""
    cache = dependencies.cache
    elsewhere = parent_elsewhere(dependencies.log.streams, child.ref)
    for ref in parents(child.ref):
        rarely = ref.kind in RARELY_CHANGED and ref != elsewhere
        load = cache.recent if rarely else cache.current
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


# --- rules between resources


async def rule_violation(
    dependencies: CommandDependencies,
    intent: Intent,
    now: Resource,
    policy: CallerPolicy | None,
    *,
    references: bool = True,
) -> Violation | None:
    """The first intent that breaks a rule about other resources; `references`: targets that must
    exist are checked, too.

    Raises:
        LogUnavailable, Unavailable: the log or the read model did not answer.
    """
    if not intent.changes:
        return None
    kind, region = KINDS[now.ref.kind], dependencies.site.region
    rules = [each for each in kind.rules.compared if each.parents or each.targets]
    links = [each for each in kind.links if references and _refers(now.spec, each)]
    if not (rules or links or kind.rules.in_use or kind.exclusive_links):
        return None
    refs, readable = referenced_refs(now.ref, now.spec, region=region, policy=policy)
    loaded = [log_ref(ref) for ref in refs]
    states = _States(dependencies, now, loaded, readable)
    broken: list[tuple[SpecChange, Refusal]] = [
        (change, _refusal(found))
        for change, some in _grouped(intent, rules, links)
        if (found := await _broken(states, change, some))
    ]
    broken += await _conflicts(states, intent, policy)
    if not broken:
        return None
    change, refusal = min(broken, key=lambda each: each[0].since.sequence)
    return Violation(refusal, _undo(change, now), change.since)


def _refers(spec: Json, link: Link) -> bool:
    """True if a spec has references of a link whose targets can be deleted by a caller."""
    return not CATALOGUE_KINDS.issuperset(link.to) and any(every(spec, link.at))


class _States:
    """The other resources that the rules of one resource read, as they are and as they were."""

    def __init__(
        self,
        dependencies: CommandDependencies,
        now: Resource,
        targets: Sequence[Ref],
        readable: frozenset[Ref] | None,
    ) -> None:
        self.dependencies, self.now, self._targets = dependencies, now, targets
        self.rights = CallerRights(readable=readable)

    async def current(self, former: Resource | None) -> DecisionContext:
        targets = await load_targets(self.dependencies, self.now.ref, self._targets)
        cache = self.dependencies.cache
        above = {ref: await cache.current(ref) for ref in self._parents_read()}
        return self._context(former, targets, above)

    async def as_of(self, former: Resource | None, at: Position) -> DecisionContext:
        """Each resource as it was at a position."""
        current = await self.current(former)
        targets = {ref: await as_of(self.dependencies, ref, at) for ref in current.targets}
        above = {ref: await as_of(self.dependencies, ref, at) for ref in current.parents}
        return self._context(former, targets, above)

    def _parents_read(self) -> list[Ref]:
        read = KINDS[self.now.ref.kind].parents_read
        return [ref for ref in parents(self.now.ref) if ref.kind in read]

    def _context(
        self,
        former: Resource | None,
        targets: Mapping[Ref, Resource | None],
        above: Mapping[Ref, Resource | None],
    ) -> DecisionContext:
        return DecisionContext(
            ref=self.now.ref,
            kind=KINDS[self.now.ref.kind],
            latest=former,
            parents=above,
            targets=targets,
            site=self.dependencies.site,
            rights=self.rights,
        )


_Rules = tuple[list[ComparedRule], list[Link]]


def _grouped(
    intent: Intent, rules: Sequence[ComparedRule], links: Sequence[Link]
) -> Iterator[tuple[SpecChange, _Rules]]:
    """The rules and links to ask, by the intent that gave their fields their values."""
    by_position = dict[Position, tuple[SpecChange, _Rules]]()
    for rule in rules:
        if change := last_change(intent, rule.fields):
            by_position.setdefault(change.since, (change, ([], [])))[1][0].append(rule)
    for link in links:
        if change := last_change(intent, (root_of(link.at),)):
            by_position.setdefault(change.since, (change, ([], [])))[1][1].append(link)
    yield from by_position.values()


async def _broken(states: _States, change: SpecChange, some: _Rules) -> list[BrokenRule]:
    """Judged on the resources as they are; only what is broken then is judged as of the change."""
    if not _judged(await states.current(change.former), states.now, some):
        return []
    return _judged(await states.as_of(change.former, change.since), states.now, some)


def _judged(context: DecisionContext, now: Resource, some: _Rules) -> list[BrokenRule]:
    rules, links = some
    places = {link.at for link in links}
    old = context.latest.spec if context.latest else None
    above = context.parents_by_kind
    proposed = proposed_spec(
        now.ref, now.spec, context.latest, above, context.targets, context.site
    )
    broken = [each for rule in rules for each in rule.check(proposed)]
    broken += broken_references(context, old, now.spec, places) if places else ()
    return broken


def _refusal(broken: Sequence[BrokenRule]) -> Conflict:
    detail = "; ".join(f"{each.pointer}: {each.detail}" for each in broken)
    sources = [ProblemSource(each.pointer) for each in broken]
    return Conflict(MEANWHILE + detail, sources=sources)


async def _conflicts(
    states: _States, intent: Intent, policy: CallerPolicy | None
) -> list[tuple[SpecChange, Refusal]]:
    kind, dependencies, now = KINDS[intent.ref.kind], states.dependencies, states.now
    if not (kind.exclusive_links or kind.rules.in_use):
        return []
    if not await dependencies.reached([intent.position], REACHED_S_MAX):
        raise Unavailable(UNCHECKED)
    current = await states.current(None)
    conflicts = await use_conflicts(
        dependencies,
        intent,
        lambda former: proposed_spec(
            now.ref, now.spec, former, {}, current.targets, dependencies.site
        ),
    )
    return [
        (change, _blocked(conflict.blockers, MEANWHILE + conflict.detail, policy))
        for conflict, change in conflicts
    ]


def _blocked(blockers: Sequence[Ref], detail: str, policy: CallerPolicy | None) -> Conflict:
    rights = CallerRights(readable=readable_blockers(blockers, policy))
    return blocked(rights, blockers, detail)


def _undo(change: SpecChange, now: Resource) -> Delete | Revert:
    former = change.former
    if former is None:
        return UNDO_CREATION
    return Revert(to=desired_state(former), expected=now.version)


def desired_state(resource: Resource) -> Put:
    """The command that makes the desired state of a resource again."""
    return Put(
        spec=resource.spec,
        labels=resource.labels,
        annotations=resource.annotations,
        extensions=resource.extensions,
    )


# --- deletions


async def recheck_deletion(
    dependencies: CommandDependencies,
    before: Resource | None,
    now: Resource,
    policy: CallerPolicy | None,
) -> Violation | None:
    """A referrer that was recorded before the deletion it blocks, and was not in the read model
    yet. Referrers that come later are refused themselves.

    Raises:
        LogUnavailable, Unavailable: the log or the read model did not answer.
    """
    if before is None or before.deleted_at:
        return None
    ref, kind = now.ref, KINDS[now.ref.kind]
    cascades = {child for parent, child in dependencies.site.cascades if parent == kind.name}
    with_it = bool(cascades) and any(each.name in cascades for each in children(kind))
    if not (with_it or blockable_refs(dependencies, ref, ())):
        return None
    if not await dependencies.reached([now.position], REACHED_S_MAX):
        raise Unavailable(UNCHECKED)
    below = await dependencies.children(ref, True) if with_it else ()
    refs = blockable_refs(dependencies, ref, below)
    blockers = await earlier_referrers(dependencies, refs, now.last_intent) if refs else []
    if not blockers:
        return None
    return _undeleted(before, now, _blocked(blockers, IN_USE, policy))


def kept_by_children(before: Resource, now: Resource, staying: Sequence[Ref]) -> Violation:
    """A deletion that does not stand, because of children that another stream records."""
    return _undeleted(before, now, _blocked(staying, MEANWHILE + CONTAINS, None))


def _undeleted(before: Resource, now: Resource, refusal: Refusal) -> Violation:
    command = Revert(to=desired_state(before), expected=now.version)
    return Violation(refusal, command, now.last_intent)


# --- quotas


async def _quota_violation(
    dependencies: CommandDependencies, before: Resource | None, now: Resource
) -> Violation | None:
    """The quota check when the read model has counted everything up to this event."""
    if not await quota_limits(dependencies, now.ref, from_cache=True) or not needs_recheck(
        before, now
    ):
        return None
    if not await dependencies.reached([now.position], REACHED_S_MAX):
        raise Unavailable(UNCHECKED)
    violation = await quota_violation(dependencies, now)
    if violation is None:
        return None
    command = await reverting(dependencies, now, violation)
    return Violation(violation.refusal, command, violation.position)
