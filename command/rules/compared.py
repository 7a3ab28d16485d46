"""Rules that compare a spec with the present resource and with others (`model.rules`): which of
them a PUT asks, and their outcome. Pure.

Of two PUTs that exclude each other, the one with the lower position stays. So after the append a
rule is asked again with the position at which its fields got their values.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from secaplane.command.rules.context import SiteRules
from secaplane.command.rules.references import bound
from secaplane.kinds import KINDS, log_ref
from secaplane.kinds.references import references_in
from secaplane.model.errors import BrokenRule
from secaplane.model.past import SpecChange
from secaplane.model.position import Position
from secaplane.model.rules import ComparedRule, ProposedSpec, changes
from secaplane.model.shape import Json, Ref, Resource


class Claim(NamedTuple):
    """A reference to a target that no other field may refer to."""

    pointer: str
    at: str
    """The place of its link, with `*` for list items."""
    target: Ref


class Intent(NamedTuple):
    """The newest spec of a resource, and its last changes, oldest first."""

    ref: Ref
    spec: Json
    position: Position
    """Of the newest intent; BEGINNING while it is not recorded."""
    changes: Sequence[SpecChange]


def last_change(intent: Intent, fields: Iterable[str]) -> SpecChange | None:
    """The change that gave the fields their newest values; None if they had them before all of
    these changes."""
    for change in reversed(intent.changes):
        if changes(fields, change.former.spec if change.former else None, intent.spec):
            return change
    return None


def root_of(place: str) -> str:
    """The field that contains a place of references: `/dataVolumes` of
    `/dataVolumes/*/deviceRef`."""
    return place.partition("/*")[0]


def proposed_spec(
    ref: Ref,
    spec: Json,
    before: Resource | None,
    parents: Mapping[str, Resource],
    targets: Mapping[Ref, Resource | None],
    site: SiteRules,
) -> ProposedSpec:
    """The input of the kind's rules; `targets` are the loaded resources by their address in the
    log."""
    rules = KINDS[ref.kind].rules.compared
    by_pointer = dict[str, Resource]()
    if any(rule.targets for rule in rules) or KINDS[ref.kind].rules.in_use:
        by_pointer = _bound_targets(ref, spec, targets, site)
    for at, inner in {pair for rule in rules for pair in rule.follows}:
        target = by_pointer.get(at)
        if target is not None:
            of_target = _bound_targets(target.ref, target.spec, targets, site)
            if inner in of_target:
                by_pointer[f"{at}{inner}"] = of_target[inner]
    return ProposedSpec(
        spec=spec,
        before=before,
        parents=parents,
        targets=by_pointer,
        any_ranges=site.any_ranges,
    )


def _bound_targets(
    ref: Ref, spec: Json, targets: Mapping[Ref, Resource | None], site: SiteRules
) -> dict[str, Resource]:
    return {
        reference.pointer: target
        for reference in references_in(ref, spec, region=site.region)
        if (target := bound(reference, targets)) is not None
    }


def followed_refs(ref: Ref, targets: Mapping[Ref, Resource | None], site: SiteRules) -> set[Ref]:
    """The targets' own targets that rules of this kind read, by their address in the log."""
    inner = {pointer for rule in KINDS[ref.kind].rules.compared for _, pointer in rule.follows}
    if not inner:
        return set()
    return {
        log_ref(followed)
        for target in targets.values()
        if target is not None
        for reference in references_in(target.ref, target.spec, region=site.region)
        if reference.pointer in inner
        for _, followed in reference.targets
    }


def broken_compared(proposed: ProposedSpec, rules: Iterable[ComparedRule]) -> Iterator[BrokenRule]:
    """The broken rules, of those whose fields a PUT sets or changes."""
    old = proposed.before.spec if proposed.before else None
    for rule in rules:
        if changes(rule.fields, old, proposed.spec):
            yield from rule.check(proposed)


def claims(ref: Ref, spec: Json, region: str) -> list[Claim]:
    """The exclusive references of a spec."""
    places = {link.at for link in KINDS[ref.kind].exclusive_links}
    return [
        Claim(reference.pointer, reference.links[0].at, log_ref(target))
        for reference in (references_in(ref, spec, region=region) if places else ())
        if reference.links[0].at in places
        for _, target in reference.targets[:1]
    ]


def new_claims(ref: Ref, old: Json | None, new: Json, region: str) -> list[Claim]:
    """The exclusive references that a PUT adds."""
    former = {each[1:] for each in claims(ref, old, region)} if old is not None else set()
    return [each for each in claims(ref, new, region) if each[1:] not in former]


def broken_claims(ref: Ref, old: Json | None, new: Json, region: str) -> Iterator[BrokenRule]:
    """Exclusive references of one spec to one target."""
    added = set(new_claims(ref, old, new, region))
    every = claims(ref, new, region) if added else []
    for n, claim in enumerate(every):
        for earlier in every[:n]:
            if {claim, earlier} & added and _exclude(ref.kind, claim, earlier):
                target = f"{claim.target.kind} {claim.target.name}"
                detail = f"{target} is used at /spec{earlier.pointer} already: use another one"
                yield BrokenRule(detail, f"/spec{claim.pointer}")
                break


def claimed_by(claims_: Sequence[Claim], other: Resource, region: str) -> bool:
    """True if another resource has one of these targets."""
    theirs = claims(other.ref, other.spec, region)
    return any(_exclude(other.ref.kind, one, each) for one in claims_ for each in theirs)


def _exclude(kind: str, one: Claim, other: Claim) -> bool:
    if one.target != other.target:
        return False
    links = KINDS[kind].exclusive_links
    return any(link.at == one.at and other.at in link.excludes for link in links)
