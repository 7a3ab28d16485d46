"""The catalogue: a folder for each SECA provider, a file for each kind, each saying KIND =
Kind(...)."""

from importlib import import_module
from pkgutil import walk_packages

from model.kind import Kind, Provider
from model.shape import Ref


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
    if kind.offered:
        return []
    steps, names = kind.collection.split("/"), ref.path.split("/")
    above = range(2, len(steps), 2)
    return [
        Ref(parent.name, "/".join(names[:n]))
        for n in above
        if (parent := _BY_COLLECTION.get("/".join(steps[: n - 1])))
    ]


def children(kind: Kind) -> list[Kind]:
    """The kinds that can lie in one of this kind."""
    inside = f"{kind.collection}/{{{kind.name}}}/"
    return [each for each in KINDS.values() if each.collection.startswith(inside)]
