"""Resource patterns of a role: `instances/*`, `networks/n/subnets/*`, `skus/one`, `*` (SECA:
authorization), and `history/instances/*` for the history of what the rest matches. Pure."""

from secaplane.kinds.views import HISTORY

EVERY = "*"
_HISTORY = f"{HISTORY}/"


def covers(flat: str, nested: str, pattern: str) -> bool:
    """True if a pattern matches a resource, given as its flat path (`subnets/s`; `subnets` for the
    collection) and its nested path (`networks/n/subnets/s`). `a/*` matches `a` and all below it."""
    if pattern == EVERY:
        return True
    if pattern in (flat, nested):
        return True
    if not pattern.endswith("/*"):
        return False
    stem = pattern[:-2]
    return any(path == stem or path.startswith(f"{stem}/") for path in (flat, nested))


def covering(flat: str, nested: str) -> tuple[str, ...]:
    """Every pattern that matches a resource, the widest first: a few, however many patterns a role
    lists."""
    wide = {EVERY: None}
    for path in (nested, flat):
        steps = path.split("/")
        wide |= {f"{'/'.join(steps[:n])}/*": None for n in range(1, len(steps) + 1)}
    return (*wide, *dict.fromkeys((nested, flat)))


def including(pattern: str) -> tuple[str, ...]:
    """Every pattern that matches all that this one matches, as a nested path or as a flat one. A
    plain collection counts as part of everything in it."""
    if pattern == EVERY:
        return (EVERY,)
    if pattern.startswith(_HISTORY):
        rest = including(pattern.removeprefix(_HISTORY))
        return (EVERY, *(f"{_HISTORY}{each}" for each in rest))
    nested = pattern.removesuffix("/*")
    steps = nested.split("/")
    flat = "/".join(steps[-1:] if len(steps) % 2 else steps[-2:])
    wide = (each for each in covering(flat, nested) if each.endswith(EVERY))
    return tuple(dict.fromkeys((*wide, pattern)))


def names_item(pattern: str) -> bool:
    """True if a pattern names a single resource; also `instances/one/*`, which matches `one` alone
    of all instances."""
    return "/" in pattern.removesuffix("/*")
