"""The catalogue: a folder for each SECA provider, a file for each kind, each saying KIND =
Kind(...)."""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import walk_packages

from secaplane.model.kind import Backing, Kind, Provider
from secaplane.model.shape import Ref


def _found() -> dict[str, Kind]:
    depth = __name__.count(".") + 2
    names = [m.name for m in walk_packages(__path__, f"{__name__}.") if m.name.count(".") == depth]
    kinds: list[Kind] = [import_module(name).KIND for name in names]
    by_name = {kind.name: kind for kind in kinds}
    assert len(by_name) == len(kinds), "two kinds share a name"
    return by_name


KINDS = _found()
PROVIDERS: dict[str, Provider] = {kind.provider.name: kind.provider for kind in KINDS.values()}
_BY_COLLECTION = {
    kind.collection: kind for kind in KINDS.values() if kind.backing is not Backing.CATALOGUE
}

SHARED_TENANT = "seca"
"""Where the catalogue's kinds lie in the log; every tenant sees them under its own path."""


def parents(ref: Ref) -> list[Ref]:
    """The resources whose names are in this one's path: its tenant, its workspace, its network."""
    kind = KINDS[ref.kind]
    return (
        []
        if kind.backing is Backing.CATALOGUE
        else refs_within(kind.collection, kind.ids(ref.path))
    )


def refs_within(collection: str, ids: Mapping[str, str]) -> list[Ref]:
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


_HOLDERS, _FOLLOWERS, _DROPPERS = (
    _links("blocks_deletion"),
    _links("affects_status"),
    _links("removed_with_target"),
)
DEPENDENT_KINDS = tuple(kind.name for kind in KINDS.values() if kind.is_dependent)
"""Kinds whose status may change because something else did."""

SHARING_KINDS = tuple(
    kind.name for kind in KINDS.values() if any(link.shared_through for link in kind.links)
)
"""Those among them that depend on who else uses the same: nobody's row can tell whether that has
changed."""


def blocking_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds that hold one of this kind: it cannot be deleted while they use it."""
    return _HOLDERS.get(kind.name, ())


def dependent_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds to be looked at again when one of this kind has changed."""
    return _FOLLOWERS.get(kind.name, ())


def releasing_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds whose specs one of this kind is taken out of when it is deleted."""
    return _DROPPERS.get(kind.name, ())


def sharing_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds to be looked at again when one of this kind has changed that uses the same."""
    return tuple(
        each.name
        for each in KINDS.values()
        if any(link.shared_through == kind.name for link in each.links)
    )


def log_ref(ref: Ref) -> Ref:
    """Where a resource lies in the log: what is on offer, below one tenant for all."""
    kind = KINDS[ref.kind]
    if kind.backing is not Backing.CATALOGUE or not kind.scope:
        return ref
    _tenants, _tenant, rest = ref.path.split("/", 2)
    return Ref(ref.kind, f"tenants/{SHARED_TENANT}/{rest}")
