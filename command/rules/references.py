"""Targets that references must have. Pure (docs/reference/api.md).

A strict reference needs a target that exists and is not being deleted; this is checked for
references that are new or changed in this PUT. A deferred one is bound when its target appears.
"""

from collections.abc import Callable, Container, Hashable, Iterator, Mapping
from functools import cache

from secaplane.command.rules.context import DecisionContext
from secaplane.kinds import KINDS, SHARED_TENANT, log_ref, parents
from secaplane.kinds.advice import to_complete, to_reference
from secaplane.kinds.patterns import NAME
from secaplane.kinds.references import (
    SpecReference,
    number_of_references,
    references_in,
    same_target,
)
from secaplane.model.address import looks_like_address
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Backing, Kind, Link
from secaplane.model.pointer import at, every
from secaplane.model.reference import collection_names
from secaplane.model.shape import Json, Ref, Resource

REFERENCES_MAX = 4096
"""Limit over all references of one resource, because they are resolved on the event loop."""
NO_NAME = (
    "names what cannot exist: names take lower-case letters, digits and hyphens; dots join parts"
)
NO_ADDRESS = (
    "is no IP address and no range: write it without leading zeros, zone or ::ffff:; a resource of"
    " that name is written with its collection, such as instances/10.0.0.1"
)


def broken_references(
    context: DecisionContext, old: Json | None, new: Json, places: Container[str] | None = None
) -> Iterator[BrokenRule]:
    """Every new or changed reference (of some `places`) that has no target. A target that a
    deferred reference is bound to later must be one that the caller may refer to now."""
    is_new = _new_ones(context, old)
    for reference in references_in(context.ref, new, region=context.site.region):
        if not is_new(reference):
            continue
        if places is not None and reference.links[0].at not in places:
            continue
        if _is_broken_address(reference):
            yield BrokenRule(NO_ADDRESS, f"/spec{reference.pointer}")
            continue
        if _may_be_absent(context, reference):
            allowed = _may_be_bound(context, reference)
        else:
            allowed = any(_exists(context, ref) for link, ref in reference.targets if link.strict)
        if not any(could_exist(target) for _, target in reference.targets) and reference.targets:
            yield BrokenRule(NO_NAME, f"/spec{reference.pointer}")
        elif not allowed:
            kinds = [KINDS[name] for link in reference.links for name in link.to]
            advise = to_reference if reference.targets else to_complete
            advice = advise(kinds, context.kind.ids(context.ref.path))
            names = " or ".join(kind.name for kind in kinds)
            yield BrokenRule(f"{names} not found: {advice}", f"/spec{reference.pointer}")


def could_exist(target: Ref) -> bool:
    """False for a name that no resource can get: a deferred reference to it would never be bound,
    and advice to create its target would be wrong. The catalogue has names of its own."""
    kind = KINDS[target.kind]
    named = len(target.name) <= kind.name_length_max and NAME.fullmatch(target.name) is not None
    return kind.backing is Backing.CATALOGUE or named


def broken_number_of_references(kind: Kind, spec: Json) -> Iterator[BrokenRule]:
    """The limit over all lists of a spec, each of which may be long by the schema."""
    number = number_of_references(kind.name, spec)
    if number > REFERENCES_MAX:
        yield BrokenRule(
            f"holds {number} references and addresses, over the limit of {REFERENCES_MAX}: split it"
            " into several resources",
            "/spec",
        )


def broken_zones(context: DecisionContext, old: Json | None, new: Json) -> Iterator[BrokenRule]:
    """Every new or changed zone of the spec that the region does not have."""
    zones = context.zones
    for pointer in context.kind.rules.zones if zones is not None else ():
        zone = at(new, pointer)
        if zone not in (zones or ()) and (old is None or zone != at(old, pointer)):
            known = ", ".join(zones or ())
            yield BrokenRule(f"unknown zone; this region has {known}", f"/spec{pointer}")


def bound(reference: SpecReference, targets: Mapping[Ref, Resource | None]) -> Resource | None:
    """The target that a reference, strict or deferred, has now; None where it has none."""
    for _, ref in reference.targets:
        target = targets.get(log_ref(ref))
        if target is not None and not target.terminating:
            return target
    return None


def strict_links(ref: Ref, reference: SpecReference, deferred: frozenset[str]) -> list[Link]:
    """The links whose target must exist. An image in the shared tenant is offered by the cloud and
    may have no volume in this control plane: there, every deferrable link is deferred."""
    strict = [
        link for link in reference.links if link.strict and link.deferrable_as not in deferred
    ]
    offered = KINDS[ref.kind].exposure.to_all_tenants and ref.scope("tenants") == SHARED_TENANT
    return [link for link in strict if not (offered and link.deferrable_as)]


def always_exists(ref: Ref, target: Ref) -> bool:
    """Targets that are not loaded: constants, and the parents of the resource itself."""
    return target.name in KINDS[target.kind].exposure.builtin_names or target in parents(ref)


def open_to_all(ref: Ref, target: Ref) -> bool:
    """Targets that every caller of a tenant may refer to: the catalogue, and the resources that the
    shared tenant shares."""
    kind: Kind = KINDS[target.kind]
    tenant = target.scope("tenants")
    if kind.backing is Backing.CATALOGUE:
        return tenant in ("", SHARED_TENANT, ref.scope("tenants"))
    return kind.exposure.to_all_tenants and tenant == SHARED_TENANT


def in_same_workspace(ref: Ref, target: Ref) -> bool:
    """In the same tenant, and in the same workspace if the target is in one."""
    ids = KINDS[target.kind].ids(target.path)
    same_workspace = ids.get("workspace", "") in ("", ref.scope("workspaces"))
    return same_workspace and ids.get("tenant", "") in ("", ref.scope("tenants"))


def _new_ones(context: DecisionContext, old: Json | None) -> Callable[[SpecReference], bool]:
    """Says of a reference whether it is new. An item that only moved in its list is not, nor is the
    value of a single field that means the same in another spelling. The former items of a place
    are read once: their number times that of the new ones would be work for minutes."""
    former_items = cache(lambda place: {_spelled(each) for _, each in every(old, place)})

    def is_new(reference: SpecReference) -> bool:
        place = reference.links[0].at
        if old is None:
            return True
        if "*" in place:
            return _spelled(reference.reference) not in former_items(place)
        former, region = at(old, place), context.site.region
        return not same_target(context.ref, place, former, reference.reference, region=region)

    return is_new


def _spelled(reference: str | Json) -> Hashable:
    return reference if isinstance(reference, str) else frozenset(reference.items())


def _may_be_absent(context: DecisionContext, reference: SpecReference) -> bool:
    """Deferred, or an address. If several links share a field, the spelling says which of them
    the reference belongs to."""
    strict = strict_links(context.ref, reference, context.site.deferred)
    if not strict or reference.is_address:
        return True
    return any(link not in strict for link, _ in reference.targets)


def _may_be_bound(context: DecisionContext, reference: SpecReference) -> bool:
    """A deferred reference is bound without any caller's rights. So a target outside the
    resource's own workspace must be readable for this caller, whether it exists yet or not."""
    if not reference.targets:
        return _is_incomplete(reference)
    return any(
        in_same_workspace(context.ref, ref)
        or open_to_all(context.ref, ref)
        or context.rights.may_get(ref)
        for _, ref in reference.targets
    )


def _is_incomplete(reference: SpecReference) -> bool:
    """An address; or the spelling of a kind that is allowed there, with a part missing."""
    if reference.is_address:
        return True
    kinds = [KINDS[name] for link in reference.links for name in link.to]
    collection = _text(reference).split("/")[-2:-1]
    return not collection or any(collection[0] in collection_names(kind) for kind in kinds)


def _is_broken_address(reference: SpecReference) -> bool:
    """True for a text that was meant to be an address: the name of a resource that looks like one
    is written with its collection."""
    if reference.is_address or not any(link.allows_address for link in reference.links):
        return False
    return looks_like_address(_text(reference))


def _text(reference: SpecReference) -> str:
    written = reference.reference
    return written if isinstance(written, str) else written["resource"]


def _exists(context: DecisionContext, ref: Ref) -> bool:
    if always_exists(context.ref, ref):
        return True
    target = context.targets.get(log_ref(ref))
    return target is not None and not target.terminating
