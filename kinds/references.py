"""The references in a spec, and the resources that they may point to. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from secaplane.kinds import CATALOGUE_KINDS, KINDS, SHARED_TENANT, log_ref
from secaplane.model.address import is_address_or_cidr
from secaplane.model.kind import Kind, Link
from secaplane.model.pointer import every
from secaplane.model.reference import resolve
from secaplane.model.shape import Json, Ref

WILDCARD = "*"
"""A value that stands for every target, where a link allows it; it points to none."""


class SpecReference(NamedTuple):
    """One reference in a spec."""

    pointer: str
    """Its place below the spec, with indices for list items."""
    links: tuple[Link, ...]
    """The links of the kind that describe this place."""
    reference: str | Json
    """As the user wrote it."""
    targets: tuple[tuple[Link, Ref], ...]
    """The resources that it may point to, the most likely first, by API address (`log_ref` gives
    the log's); empty if it cannot be resolved."""
    is_address: bool = False
    """An address or a range, where one is allowed: it names no resource."""


def references_in(ref: Ref, spec: Json, *, region: str = "") -> Iterator[SpecReference]:
    """Every reference in the spec of a resource."""
    for place, links in _places(ref.kind):
        for pointer, reference in every(spec, place):
            if reference != WILDCARD or not links[0].allows_wildcard:
                is_address = any(link.allows_address for link in links) and _is_address(reference)
                targets = () if is_address else tuple(_targets(ref, links, reference, region))
                yield SpecReference(pointer, links, reference, targets, is_address)


def number_of_references(kind: str, spec: Json) -> int:
    return sum(1 for place, _ in _places(kind) for _ in every(spec, place))


def same_target(ref: Ref, place: str, one: object, other: object, *, region: str = "") -> bool:
    """True if two values of a field mean the same: equal ones, or references that resolve to the
    same resources, however each is spelled. `place` is the field below the spec."""
    if one == other:
        return True
    links = tuple(link for link in KINDS[ref.kind].links if link.at == place)
    if not links or not (isinstance(one, str | dict) and isinstance(other, str | dict)):
        return False
    first, second = (
        [log_ref(target) for _, target in _targets(ref, links, value, region)]
        for value in (one, other)
    )
    return first == second != []


def targets_of(ref: Ref, spec: Json) -> frozenset[Ref]:
    """The resources that a spec refers to, whether they exist or not. Catalogue entries are left
    out, because no rule asks for their referrers."""
    return frozenset(
        target
        for place, links in _places_outside_catalogue(ref.kind)
        for _, reference in every(spec, place)
        if reference != WILDCARD
        for _, target in _targets(ref, links, reference, "")
        if target.kind not in CATALOGUE_KINDS
    )


@cache
def _places(kind: str) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """The places of references in a spec, with the links of each; cached, because every write and
    every event asks for them."""
    links = KINDS[kind].links
    return tuple(
        (place, tuple(link for link in links if link.at == place))
        for place in dict.fromkeys(link.at for link in links)
    )


@cache
def _places_outside_catalogue(kind: str) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """Of them, those with links to other kinds than the catalogue's, and only these links."""
    outside = (
        (place, tuple(link for link in links if not CATALOGUE_KINDS.issuperset(link.to)))
        for place, links in _places(kind)
    )
    return tuple((place, links) for place, links in outside if links)


def _targets(
    ref: Ref, links: tuple[Link, ...], reference: str | Json, region: str
) -> Iterator[tuple[Link, Ref]]:
    for link in links:
        for name in link.to:
            kind = KINDS[name]
            if (target := resolve(reference, kind, ref, region=region)) is None:
                continue
            yield link, target
            shared = _in_shared_tenant(reference, kind, target)
            if shared is not None:
                yield link, shared


def _is_address(reference: str | Json) -> bool:
    text = reference if isinstance(reference, str) else reference["resource"]
    return is_address_or_cidr(text)


def _in_shared_tenant(reference: str | Json, kind: Kind, target: Ref) -> Ref | None:
    """A second target in the shared tenant, for kinds that it offers to all tenants, if the
    reference names no tenant."""
    if not kind.exposure.to_all_tenants:
        return None
    shared = resolve(reference, kind, Ref(kind.name, f"tenants/{SHARED_TENANT}/-/-"))
    return None if shared == target else shared
