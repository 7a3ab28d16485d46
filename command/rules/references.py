"""What references must point to. Pure (CONTRACT: References).

A strict one needs its target there and not going, asked of what is new or changed in this PUT; a
deferred one is bound when its target appears.
"""

from collections.abc import Iterator

from secaplane.command.gather.load import DecisionContext, Sees
from secaplane.kinds import KINDS, SHARED_TENANT, log_ref, parents
from secaplane.kinds.references import SpecReference, references_in
from secaplane.model.address import is_address_or_cidr
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Backing, Kind, Link
from secaplane.model.pointer import at, every
from secaplane.model.reference import collection_names
from secaplane.model.shape import Json, Ref, Resource


def asked(ref: Ref, spec: Json, *, region: str, sees: Sees) -> list[Ref]:
    """The addresses that a rule needs to look at before it can judge a spec's references; what is
    not for this caller is left out, so that it counts as absent."""
    return [
        meant
        for pointing in references_in(ref, spec, region=region)
        for link, meant in pointing.targets
        if link.strict and not there_anyway(ref, meant) and (open_to_all(ref, meant) or sees(meant))
    ]


def broken_references(
    context: DecisionContext, old: Json | None, new: Json
) -> Iterator[BrokenRule]:
    """Every reference of the new spec that points to nothing: no strict one may, and what a
    deferred one is bound to later must be within reach."""
    ref, region = context.ref, context.site.region
    for pointing in references_in(ref, new, region=region):
        if not _changed(pointing, old):
            continue
        if _may_be_absent(context, pointing):
            fine = _within_reach(context, pointing)
        else:
            fine = any(_there(context, meant) for link, meant in pointing.targets if link.strict)
        if not fine:
            wanted = " or ".join(name for link in pointing.links for name in link.to)
            yield BrokenRule(
                f"points to no {wanted} that is there; make it first, or name another",
                f"/spec{pointing.pointer}",
            )


def broken_zones(context: DecisionContext, old: Json | None, new: Json) -> Iterator[BrokenRule]:
    """Every zone of the new spec that the region does not have."""
    known = context.zones
    for pointer in context.kind.rules.zones if known is not None else ():
        zone = at(new, pointer)
        if zone not in (known or ()) and (old is None or zone != at(old, pointer)):
            zones = ", ".join(known or ())
            yield BrokenRule(f"is no zone of this region; there are {zones}", f"/spec{pointer}")


def bound(pointing: SpecReference, targets: dict[Ref, Resource | None]) -> Resource | None:
    """What a reference points to now, whatever its links ask; None where that is nothing."""
    for _, meant in pointing.targets:
        target = targets.get(log_ref(meant))
        if target is not None and not target.terminating:
            return target
    return None


def strict_links(pointing: SpecReference, deferred: frozenset[str]) -> list[Link]:
    return [link for link in pointing.links if link.strict and link.deferrable_as not in deferred]


def _changed(pointing: SpecReference, old: Json | None) -> bool:
    """An item that only moved in its list is no new one."""
    if old is None:
        return True
    return all(former != pointing.reference for _, former in every(old, pointing.links[0].at))


def _may_be_absent(context: DecisionContext, pointing: SpecReference) -> bool:
    """Deferred, or an address; of several links at one place, the one whose spelling it has."""
    strict = strict_links(pointing, context.site.deferred)
    if not strict:
        return True
    said = pointing.reference
    text = said if isinstance(said, str) else said["resource"]
    if any(link.allows_address for link in pointing.links) and is_address_or_cidr(text):
        return True
    return any(link not in strict for link, _ in pointing.targets)


def _within_reach(context: DecisionContext, pointing: SpecReference) -> bool:
    """What is bound later is bound with nobody's rights, so what lies outside the resource's own
    workspace must be the caller's to get already, whether it is there or not."""
    ref = context.ref
    if not pointing.targets:
        return _incomplete(pointing)
    return any(
        _beside(ref, meant) or open_to_all(ref, meant) or context.rights.sees(meant)
        for _, meant in pointing.targets
    )


def _incomplete(pointing: SpecReference) -> bool:
    """An address; or spelled as one of the kinds that can stand there, and something is missing."""
    said = pointing.reference
    text = said if isinstance(said, str) else said["resource"]
    if any(link.allows_address for link in pointing.links) and is_address_or_cidr(text):
        return True
    kinds = [KINDS[name] for link in pointing.links for name in link.to]
    collection = text.split("/")[-2:-1]
    return not collection or any(collection[0] in collection_names(kind) for kind in kinds)


def _beside(ref: Ref, meant: Ref) -> bool:
    """In the same tenant, and in the same workspace if it lies in one."""
    ids = KINDS[meant.kind].ids(meant.path)
    workspace = ids.get("workspace", "")
    own = workspace in ("", ref.scope("workspaces"))
    return own and ids.get("tenant", "") in ("", ref.scope("tenants"))


def _there(context: DecisionContext, meant: Ref) -> bool:
    if there_anyway(context.ref, meant):
        return True
    target = context.targets.get(log_ref(meant))
    return target is not None and not target.terminating


def there_anyway(ref: Ref, meant: Ref) -> bool:
    """What needs no look: constants, and what the resource itself lies in."""
    return meant.name in KINDS[meant.kind].exposure.builtin_names or meant in parents(ref)


def open_to_all(ref: Ref, meant: Ref) -> bool:
    """What everybody of a tenant may refer to: the catalogue, and what is shared with all."""
    kind: Kind = KINDS[meant.kind]
    tenant = meant.scope("tenants")
    if kind.backing is Backing.CATALOGUE:
        return tenant in ("", SHARED_TENANT, ref.scope("tenants"))
    return kind.exposure.to_all_tenants and tenant == SHARED_TENANT
