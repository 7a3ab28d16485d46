"""The references that stand in a spec, and the resources that they may mean. Pure."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.model.kind import Backing, Kind, Link
from secaplane.model.pointer import every
from secaplane.model.reference import resolve
from secaplane.model.shape import Json, Ref


class SpecReference(NamedTuple):
    """One reference that stands in a spec."""

    pointer: str
    """Where it stands below the spec, items of lists by their number."""
    links: tuple[Link, ...]
    """The rows that say what may stand there."""
    reference: str | Json
    """As the user wrote it."""
    targets: tuple[tuple[Link, Ref], ...]
    """What it may point to, as it is addressed, the most likely first; empty where it cannot be
    completed."""


def references_in(ref: Ref, spec: Json, *, region: str = "") -> Iterator[SpecReference]:
    """Every reference in a resource's spec."""
    kind = KINDS[ref.kind]
    for place in dict.fromkeys(link.at for link in kind.links):
        links = tuple(link for link in kind.links if link.at == place)
        for pointer, reference in every(spec, place):
            if reference != WILDCARD or not links[0].allows_wildcard:
                targets = tuple(_meanings(ref, links, reference, region))
                yield SpecReference(pointer, links, reference, targets)


WILDCARD = "*"
"""Stands for all there are, where names are listed; so it points to none."""


def _meanings(
    ref: Ref, links: tuple[Link, ...], reference: str | Json, region: str
) -> Iterator[tuple[Link, Ref]]:
    for link in links:
        for name in link.to:
            kind = KINDS[name]
            if (found := resolve(reference, kind, ref, region=region)) is None:
                continue
            yield link, found
            shared = _in_shared_tenant(reference, kind, found)
            if shared is not None:
                yield link, shared


def _in_shared_tenant(reference: str | Json, kind: Kind, found: Ref) -> Ref | None:
    """What belongs to a tenant is looked for in the shared tenant too, if none was named."""
    if not kind.exposure.to_all_tenants:
        return None
    elsewhere = resolve(reference, kind, Ref(kind.name, f"tenants/{SHARED_TENANT}/-/-"))
    return None if elsewhere == found else elsewhere


def targets_of(ref: Ref, spec: Json) -> frozenset[Ref]:
    """What a resource refers to, whether it is there or not; what is on offer is left out, because
    nobody asks who uses it."""
    return frozenset(
        found
        for place, links in _places_of_use(ref.kind)
        for _, reference in every(spec, place)
        if reference != WILDCARD
        for _, found in _meanings(ref, links, reference, "")
        if KINDS[found.kind].backing is not Backing.CATALOGUE
    )


@cache
def _places_of_use(kind: str) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """Where a spec refers to what is not on offer, and the rows that say so: every projected event
    goes through here."""
    links = [
        link
        for link in KINDS[kind].links
        if not all(KINDS[name].backing is Backing.CATALOGUE for name in link.to)
    ]
    return tuple(
        (place, tuple(link for link in links if link.at == place))
        for place in dict.fromkeys(link.at for link in links)
    )
