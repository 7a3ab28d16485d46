"""Resource patterns of a role: `instances/*`, `networks/n/subnets/*`, `skus/one`, `*` (digest,
section 11). Pure."""

EVERY = "*"


def covers(flat: str, nested: str, pattern: str) -> bool:
    """Whether a pattern means a path, given as the flat collection (`subnets/s`; `subnets` for the
    list) and as the nested path (`networks/n/subnets/s`). `a/*` is `a`, and all that is in it."""
    if pattern == EVERY:
        return True
    if pattern in (flat, nested):
        return True
    if not pattern.endswith("/*"):
        return False
    stem = pattern[:-2]
    return any(path == stem or path.startswith(f"{stem}/") for path in (flat, nested))


def covering(flat: str, nested: str) -> tuple[str, ...]:
    """Every pattern that means a path, those first that mean most: a few, however many a role
    lists."""
    found = {EVERY: None}
    for path in (nested, flat):
        steps = path.split("/")
        found |= {f"{'/'.join(steps[:n])}/*": None for n in range(1, len(steps) + 1)}
    return (*found, *dict.fromkeys((nested, flat)))


def including(pattern: str) -> tuple[str, ...]:
    """Every pattern that means all that this one means, as a nested path or as a flat one. A plain
    collection counts as part of all that is in it."""
    if pattern == EVERY:
        return (EVERY,)
    nested = pattern.removesuffix("/*")
    steps = nested.split("/")
    flat = "/".join(steps[-1:] if len(steps) % 2 else steps[-2:])
    wide = (each for each in covering(flat, nested) if each.endswith(EVERY))
    return tuple(dict.fromkeys((*wide, pattern)))


def names_item(pattern: str) -> bool:
    """Also `instances/one/*`, which covers that instance and no other."""
    return "/" in pattern.removesuffix("/*")
