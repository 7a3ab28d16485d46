"""Checks that refuse a command, one rule each. Pure. `decide` fixes their order."""

from collections.abc import Iterator, Sequence
from itertools import islice

from msgspec import UNSET

from secaplane.command.rules.commands import ReportStatus
from secaplane.command.rules.compared import broken_claims, broken_compared, proposed_spec
from secaplane.command.rules.context import CallerRights, DecisionContext
from secaplane.command.rules.references import broken_references, broken_zones
from secaplane.kinds import KINDS
from secaplane.kinds.advice import to_find_or_create
from secaplane.kinds.references import same_target
from secaplane.model.errors import (
    BrokenRule,
    Conflict,
    Forbidden,
    NotFound,
)
from secaplane.model.kind import Kind
from secaplane.model.pointer import at
from secaplane.model.power import ACTIONS
from secaplane.model.shape import Json, Ref, Resource

CONTAINS = "the resource still contains {}: delete them first"
IN_USE = "the resource is in use by {}: delete or change the referrers first"
BLOCKERS_MAX = 10
"""Blockers that one refusal names."""


def broken_shape(kind: Kind, spec: Json) -> list[BrokenRule]:
    """The rules within a spec that it breaks, whatever else exists."""
    return list(kind.rules.check(spec)) if kind.rules.check else []


def broken_rules(context: DecisionContext, new: Json) -> list[BrokenRule]:
    """Every rule that a spec breaks when it is compared with the present resource, its parents and
    its targets."""
    kind, before = context.kind, context.resource
    old = before.spec if before else None
    unresolved = [*broken_zones(context, old, new), *broken_references(context, old, new)]
    unknown = {each.pointer for each in unresolved}
    broken = [*_changed_fixed_fields(context, old, new)]
    if kind.rules.compared:
        parents = context.parents_by_kind
        proposed = proposed_spec(context.ref, new, before, parents, context.targets, context.site)
        rules = [
            rule
            for rule in kind.rules.compared
            if unknown.isdisjoint(f"/spec{field}" for field in rule.fields)
        ]
        broken += broken_compared(proposed, rules)
    if kind.exclusive_links:
        claims = broken_claims(context.ref, old, new, context.site.region)
        broken += (each for each in claims if each.pointer not in unknown)
    return broken + unresolved


def _changed_fixed_fields(
    context: DecisionContext, old: Json | None, new: Json
) -> Iterator[BrokenRule]:
    """References are compared by what they resolve to."""
    ref, kind, region = context.ref, context.kind, context.site.region
    for pointer in kind.rules.immutable if old is not None else ():
        if not same_target(ref, pointer, at(old, pointer), at(new, pointer), region=region):
            yield BrokenRule(
                "cannot change after creation: delete the resource and create it again",
                f"/spec{pointer}",
            )
    for pointer in kind.rules.set_once if old is not None else ():
        before, after = at(old, pointer), at(new, pointer)
        if None not in (before, after) and not same_target(
            ref, pointer, before, after, region=region
        ):
            yield BrokenRule(
                "can be set only once: delete the resource and create it again", f"/spec{pointer}"
            )


def existing(context: DecisionContext) -> Resource:
    """The living resource.

    Raises:
        NotFound: there is none.
    """
    if context.resource is None:
        ref, kind = context.ref, context.kind
        advice = to_find_or_create(kind, kind.ids(ref.path) | {"name": ref.name})
        raise NotFound(f"{ref.kind} {ref.name} not found: {advice}")
    return context.resource


def refuse_without_parents(context: DecisionContext) -> None:
    """A missing parent is 404. A parent that is being deleted accepts no new children; an existing
    child can still change, unless it is deleted with the parent."""
    for ref, parent in context.parents.items():
        if parent is None:
            raise NotFound(f"{ref.kind} {ref.name} not found: create it first")
        cascades = (ref.kind, context.kind.name) in context.site.cascades
        if parent.terminating and (context.resource is None or cascades):
            raise Conflict(f"{ref.kind} {ref.name} is being deleted: it accepts no resources")


def refuse_reserved_name(context: DecisionContext) -> None:
    for reserved in context.kind.exposure.reserved_prefixes:
        if context.ref.name.startswith(reserved):
            raise Conflict(f"names that begin with {reserved} are reserved: choose another name")


def refuse_terminating(resource: Resource) -> None:
    if resource.deleted_at:
        raise Conflict("the resource is being deleted: wait until it is gone, then create it again")


def refuse_wrong_power(resource: Resource, action: str) -> None:
    needed, desired = ACTIONS[action].needs, resource.power.desired
    if desired != needed:
        raise Conflict(f"{action} needs the desired power state {needed}; it is {desired}")


def refuse_escalation(context: DecisionContext) -> None:
    """Checked after everything else: the refusal shows a caller that all else was right."""
    excess = context.rights.excess
    if excess:
        raise Forbidden(f"you can only grant permissions that you hold; you do not hold {excess}")


def refuse_blocked(context: DecisionContext) -> None:
    """A resource stays while it contains others that are not deleted with it, or is in use."""
    if children := _remaining_children(context):
        raise blocked(context.rights, children, CONTAINS)
    if context.referrers:
        advice = IN_USE
        raise blocked(context.rights, context.referrers, advice)


def refuse_in_use(context: DecisionContext) -> None:
    """A PUT changes nothing that others use as it was."""
    for conflict in context.conflicts:
        raise blocked(context.rights, conflict.blockers, conflict.detail)


def blockers(context: DecisionContext) -> Sequence[Ref]:
    """The resources that a refusal by `refuse_blocked` or `refuse_in_use` is about."""
    used = [ref for conflict in context.conflicts[:1] for ref in conflict.blockers]
    return used or _remaining_children(context) or context.referrers


def _remaining_children(context: DecisionContext) -> list[Ref]:
    """None of the children is deleted with a resource whose history is closed."""
    if context.damage is not None:
        return list(context.children)
    cascades = context.site.cascades
    return [ref for ref in context.children if (context.kind.name, ref.kind) not in cascades]


def blocked(rights: CallerRights, blocking: Sequence[Ref], detail: str) -> Conflict:
    """A refusal that names only resources that the caller may get, and counts all."""
    count = len(blocking)
    named = islice(filter(rights.may_get, blocking), BLOCKERS_MAX)
    return Conflict(
        detail.format("one resource" if count == 1 else f"{count} resources"),
        meta={"blockers": [KINDS[ref.kind].urn(ref) for ref in named], "count": count},
    )


def changes_status(resource: Resource, command: ReportStatus) -> bool:
    """True if a report differs from the status as recorded, and still holds."""
    if command.only_at and command.only_at != resource.position:
        return False
    if command.status != resource.observed:
        return True
    if command.observed_position < resource.last_intent:
        return False
    newest = resource.conditions[0]
    text = (command.reason or UNSET, command.message or UNSET)
    new_text = text not in ((UNSET, UNSET), (newest.reason, newest.message))
    return (
        resource.observed_position < resource.last_intent
        or command.state is not resource.state
        or new_text
    )
