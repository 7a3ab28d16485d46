"""The catalogue: a folder for each SECA provider, a file for each kind, each saying KIND =
Kind(...)."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pkgutil import walk_packages
from typing import NamedTuple

from model.kind import Kind, Link, Provider
from model.pointer import at, every
from model.reference import resolve
from model.shape import Json, Ref


def _found() -> dict[str, Kind]:
    modules = (import_module(m.name) for m in walk_packages(__path__, "kinds.") if not m.ispkg)
    kinds: list[Kind] = [module.KIND for module in modules]
    by_name = {kind.name: kind for kind in kinds}
    assert len(by_name) == len(kinds), "two kinds share a name"
    return by_name


KINDS = _found()
PROVIDERS: dict[str, Provider] = {kind.provider.name: kind.provider for kind in KINDS.values()}
_BY_COLLECTION = {kind.collection: kind for kind in KINDS.values() if not kind.offered}

SHARED_TENANT = "seca"
"""Where the catalogue's kinds lie in the log; every tenant sees them under its own path."""


def parents(ref: Ref) -> list[Ref]:
    """The resources whose names are in this one's path: its tenant, its workspace, its network."""
    kind = KINDS[ref.kind]
    return [] if kind.offered else within(kind.collection, kind.ids(ref.path))


def within(collection: str, ids: Mapping[str, str]) -> list[Ref]:
    """The resources whose names are in the path of a collection."""
    steps = collection.split("/")
    names = collection.format_map(ids).split("/")
    return [
        Ref(parent.name, "/".join(names[:n]))
        for n in range(2, len(steps), 2)
        if (parent := _BY_COLLECTION.get("/".join(steps[: n - 1])))
    ]


def children(kind: Kind) -> list[Kind]:
    """The kinds that can lie in one of this kind."""
    inside = f"{kind.collection}/{{"
    return [each for each in KINDS.values() if each.collection.startswith(inside)]


def _links(which: str) -> dict[str, tuple[str, ...]]:
    """Target kind -> the kinds with such a link to it."""
    found = dict[str, list[str]]()
    for kind in KINDS.values():
        for target in {t for link in kind.links if getattr(link, which) for t in link.to}:
            found.setdefault(target, []).append(kind.name)
    return {target: tuple(names) for target, names in found.items()}


_HOLDERS, _FOLLOWERS, _DROPPERS = _links("holds"), _links("follows"), _links("drops")
FOLLOWERS = tuple(kind.name for kind in KINDS.values() if kind.follows)
"""Kinds whose status may change because something else did."""

SHARING = tuple(kind.name for kind in KINDS.values() if any(link.through for link in kind.links))
"""Those among them that depend on who else uses the same: nobody's row can tell whether that has
changed."""


def held(kind: Kind) -> tuple[str, ...]:
    """The kinds that hold one of this kind: it cannot be deleted while they use it."""
    return _HOLDERS.get(kind.name, ())


def followed(kind: Kind) -> tuple[str, ...]:
    """The kinds to be looked at again when one of this kind has changed."""
    return _FOLLOWERS.get(kind.name, ())


def dropped(kind: Kind) -> tuple[str, ...]:
    """The kinds whose specs one of this kind is taken out of when it is deleted."""
    return _DROPPERS.get(kind.name, ())


def sharers(kind: Kind) -> tuple[str, ...]:
    """The kinds to be looked at again when one of this kind has changed that uses the same."""
    return tuple(
        each.name
        for each in KINDS.values()
        if any(link.through == kind.name for link in each.links)
    )


def stored(ref: Ref) -> Ref:
    """Where a resource lies in the log: what is on offer, below one tenant for all."""
    kind = KINDS[ref.kind]
    if not kind.offered or not kind.scope:
        return ref
    _tenants, _tenant, rest = ref.path.split("/", 2)
    return Ref(ref.kind, f"tenants/{SHARED_TENANT}/{rest}")


class Pointing(NamedTuple):
    """One reference that stands in a spec."""

    pointer: str
    """Where it stands below the spec, items of lists by their number."""
    links: tuple[Link, ...]
    """The rows that say what may stand there."""
    reference: str | Json
    """As the user wrote it."""
    means: tuple[tuple[Link, Ref], ...]
    """What it may point to, as it is addressed, the most likely first; empty where it cannot be
    completed."""


def pointings(ref: Ref, spec: Json, *, region: str = "") -> Iterator[Pointing]:
    """Every reference in a resource's spec."""
    kind = KINDS[ref.kind]
    for place in dict.fromkeys(link.at for link in kind.links):
        links = tuple(link for link in kind.links if link.at == place)
        for pointer, reference in every(spec, place):
            if reference != EVERYTHING or not links[0].all_of_them:
                means = tuple(_meanings(ref, links, reference, region))
                yield Pointing(pointer, links, reference, means)


class Share(NamedTuple):
    """What resources of one kind and SKU take of what their tenant may have."""

    kind: str
    sku: str
    """Its name; empty where there is none."""
    number: int
    amount: int
    """By their own specs; what they weigh by their SKU's is worked out where it is asked for."""


def share(ref: Ref, spec: Json) -> Share:
    """What one resource takes. However a reference is spelled, it ends in the name."""
    kind = KINDS[ref.kind]
    reference = spec.get("skuRef", "") if kind.sku else ""
    said = reference if isinstance(reference, str) else reference["resource"]
    amount = at(spec, kind.sized) if kind.sized else 0
    return Share(kind.name, said.rpartition("/")[2], 1, amount)


EVERYTHING = "*"
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
    if not kind.shared:
        return None
    elsewhere = resolve(reference, kind, Ref(kind.name, f"tenants/{SHARED_TENANT}/-/-"))
    return None if elsewhere == found else elsewhere


def uses(ref: Ref, spec: Json) -> frozenset[Ref]:
    """What a resource refers to, whether it is there or not; what is on offer is left out, because
    nobody asks who uses it."""
    return frozenset(
        found
        for place, links in _places_of_use(ref.kind)
        for _, reference in every(spec, place)
        if reference != EVERYTHING
        for _, found in _meanings(ref, links, reference, "")
        if not KINDS[found.kind].offered
    )


@cache
def _places_of_use(kind: str) -> tuple[tuple[str, tuple[Link, ...]], ...]:
    """Where a spec refers to what is not on offer, and the rows that say so: every projected event
    goes through here."""
    links = [link for link in KINDS[kind].links if not all(KINDS[name].offered for name in link.to)]
    return tuple(
        (place, tuple(link for link in links if link.at == place))
        for place in dict.fromkeys(link.at for link in links)
    )
