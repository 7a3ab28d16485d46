"""A reference as users write it -> the refs it may mean (digest, section 6; CONTRACT: References).
Pure.

`resource` may be any suffix of the URN: what it leaves out comes from the object's other fields,
then from the resource that refers. The collection may be spelled as the kind's name, too.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from secaplane.model.kind import Kind
from secaplane.model.shape import Json, Ref

REMEMBERED_MAX = 4096
PLAUSIBLE = re.compile(r"[A-Za-z0-9][-.A-Za-z0-9]{0,127}")
"""What nothing can be called by is not looked for."""


def resolve(reference: str | Json, kind: Kind, home: Ref, *, region: str = "") -> Ref | None:
    """The ref that a reference, which stands in `home`, means among one kind's; None where it can
    mean none: another kind's spelling, a scope that nobody names, two that contradict each other.

    A plain string is a name, and no path. `region` is the one that is served; where it is not
    given, a reference may name any.
    """
    if isinstance(reference, str) and "/" in reference:
        return None
    given = {"resource": reference} if isinstance(reference, str) else reference
    return _resolved(tuple(given.items()), kind, home.collection, region)


@lru_cache(maxsize=REMEMBERED_MAX)
def _resolved(said: tuple[tuple[str, str], ...], kind: Kind, home: str, region: str) -> Ref | None:
    """Remembered: the same few SKUs are named again and again in the same workspaces."""
    ids = _ids(dict(said), kind, region)
    if ids is None:
        return None
    around = _scope(home)
    steps = kind.collection.split("/")
    for n, step in enumerate(steps):
        if step.startswith("{"):
            found = ids.get(step[1:-1]) or around.get(steps[n - 1])
            if not found or not PLAUSIBLE.fullmatch(found):
                return None
            steps[n] = found
    if not PLAUSIBLE.fullmatch(ids["name"]):
        return None
    return Ref(kind.name, "/".join([*steps, ids["name"]]))


def _ids(said: Mapping[str, Any], kind: Kind, region: str) -> dict[str, str] | None:
    """The ids that a reference names, by their names in the kind's collection."""
    elsewhere = region and (said.get("region") or region) != region
    if elsewhere or not _same_provider(said.get("provider"), kind):
        return None
    resource = str(said["resource"])
    given = resource.split("/")
    whole = [kind.provider.name, kind.provider.version, *kind.collection.split("/"), "{name}"]
    if given[0] == kind.provider.name and len(given) > 1 and given[1] != kind.provider.version:
        del whole[1]  # a provider without its version
    if len(given) > len(whole):
        return None
    ids = {key: said[key] for key in ("tenant", "workspace") if said.get(key)}
    for place, step in zip(whole[-len(given) :], given, strict=True):
        if place.startswith("{"):
            if not step or ids.setdefault(place[1:-1], step) != step:
                return None
        elif step != place and not (place == whole[-2] and step in spellings(kind)):
            return None
    return ids


def _same_provider(said: str | None, kind: Kind) -> bool:
    return not said or said in (kind.provider.name, kind.provider.full_name)


def spellings(kind: Kind) -> tuple[str, str]:
    return kind.collection.rpartition("/")[2], f"{kind.name}s"


def _scope(home: str) -> dict[str, str]:
    """The ids around a collection, by the segment before them."""
    steps: Sequence[str] = home.split("/")
    return dict(zip(steps[::2], steps[1::2], strict=False))
