"""All kinds: a folder for each SECA provider, a file for each kind that defines `KIND`. Pure.

The functions below answer questions about the graph that the kinds form: parents and children by
path, and referrers by link.
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import walk_packages

from secaplane.model.kind import Backing, Kind, Provider
from secaplane.model.shape import Ref


def _discovered() -> dict[str, Kind]:
    depth = __name__.count(".") + 2
    names = [m.name for m in walk_packages(__path__, f"{__name__}.") if m.name.count(".") == depth]
    kinds: list[Kind] = [import_module(name).KIND for name in names]
    by_name = {kind.name: kind for kind in kinds}
    assert len(by_name) == len(kinds), "two kinds share a name"
    return by_name


KINDS = _discovered()
PROVIDERS: dict[str, Provider] = {kind.provider.name: kind.provider for kind in KINDS.values()}
CATALOGUE_KINDS = frozenset(k.name for k in KINDS.values() if k.backing is Backing.CATALOGUE)
_BY_COLLECTION = {k.collection: k for k in KINDS.values() if k.name not in CATALOGUE_KINDS}

SHARED_TENANT = "seca"
"""The tenant under which the log keeps catalogue entries; each tenant reads them under its own
path."""


ALIAS_PREFIX = "seca."


def log_ref(ref: Ref) -> Ref:
    """The address of a resource in the log: catalogue entries are kept once, under SHARED_TENANT
    and the name that the catalogue gives them, for all tenants."""
    if ref.kind not in CATALOGUE_KINDS or not KINDS[ref.kind].scope:
        return ref
    _tenants, _tenant, collection, name = ref.path.split("/", 3)
    return Ref(ref.kind, f"tenants/{SHARED_TENANT}/{collection}/{sku_name(name)}")


def sku_name(name: str) -> str:
    """The name of a SKU in the catalogue. A name that begins with ALIAS_PREFIX is an alias for
    ever: `seca.rd500` means `RD500` (docs/decisions/036)."""
    return name.removeprefix(ALIAS_PREFIX).upper() if name.startswith(ALIAS_PREFIX) else name


# --- parents and children, by path


def parents(ref: Ref) -> list[Ref]:
    """The resources in the path of a resource: its tenant, its workspace, its network."""
    if ref.kind in CATALOGUE_KINDS:
        return []
    kind = KINDS[ref.kind]
    return refs_within(kind.collection, kind.ids(ref.path))


def refs_within(collection: str, ids: Mapping[str, str]) -> list[Ref]:
    """The resources in the path of a collection."""
    steps = collection.split("/")
    names = collection.format_map(ids).split("/")
    return [
        Ref(parent.name, "/".join(names[:n]))
        for n in range(2, len(steps), 2)
        if (parent := _BY_COLLECTION.get("/".join(steps[: n - 1])))
    ]


def children(kind: Kind) -> list[Kind]:
    """The kinds whose resources have one of this kind in their path."""
    below = f"{kind.collection}/{{"
    return [each for each in KINDS.values() if each.collection.startswith(below)]


def valid_ref(kind: str, path: str) -> Ref | None:
    """The address of a resource, from texts; None where no resource can have it."""
    row, given = KINDS.get(kind), path.split("/")
    steps = [*row.collection.split("/"), "{name}"] if row else []
    fits = len(steps) == len(given) and all(
        each and (step.startswith("{") or step == each)
        for step, each in zip(steps, given, strict=True)
    )
    return Ref(kind, path) if fits else None


# --- referrers, by link


def _kinds_by_target(flag: str) -> dict[str, tuple[str, ...]]:
    """Target kind -> the kinds that have a link to it with this flag."""
    by_target = dict[str, list[str]]()
    for kind in KINDS.values():
        for target in {t for link in kind.links if getattr(link, flag) for t in link.to}:
            by_target.setdefault(target, []).append(kind.name)
    return {target: tuple(names) for target, names in by_target.items()}


_BLOCKING = _kinds_by_target("blocks_deletion")
_DEPENDENT = _kinds_by_target("affects_status")
_RELEASING = _kinds_by_target("removed_with_target")

DEPENDENT_KINDS = tuple(kind.name for kind in KINDS.values() if kind.is_dependent)
"""Kinds whose observed status may change because another resource changed."""

SHARING_KINDS = tuple(
    kind.name for kind in KINDS.values() if any(link.shared_through for link in kind.links)
)
"""Dependent kinds that are affected by further referrers of their targets. Such a change shows in
no row of the resource or of its target."""


def blocking_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds whose resources block the deletion of one of this kind that they refer to."""
    return _BLOCKING.get(kind.name, ())


def dependent_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds to reconcile again after a change of a resource of this kind that they refer to."""
    return _DEPENDENT.get(kind.name, ())


def releasing_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds whose specs lose their reference when a resource of this kind is deleted."""
    return _RELEASING.get(kind.name, ())


def sharing_kinds(kind: Kind) -> tuple[str, ...]:
    """The kinds to reconcile again after a change of a resource of this kind that refers to the
    same target (`Link.shared_through`)."""
    return tuple(
        each.name
        for each in KINDS.values()
        if any(link.shared_through == kind.name for link in each.links)
    )
