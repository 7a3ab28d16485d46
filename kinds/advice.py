"""Advice in a refusal about an absent resource: how a caller gets one. Pure.

Entries of the catalogue come from the cloud: a caller can list them, and never create one.
"""

from collections.abc import Mapping, Sequence

from secaplane.model.kind import Kind


def to_find_or_create(kind: Kind, ids: Mapping[str, str]) -> str:
    """For a resource that was addressed by its path, with the ids of that path, `name` among
    them."""
    reserved = ids.get("name", "").startswith(kind.exposure.reserved_prefixes)
    return "create it with PUT" if kind.writable and not reserved else _to_list(kind, ids)


def to_reference(kinds: Sequence[Kind], ids: Mapping[str, str]) -> str:
    """For the target of a reference that may point to some kinds, with the ids of the referrer's
    path."""
    if any(kind.writable for kind in kinds):
        return "create it or reference an existing one"
    return "; ".join(dict.fromkeys(_to_list(kind, ids) for kind in kinds))


def to_complete(kinds: Sequence[Kind], ids: Mapping[str, str]) -> str:
    """For a reference that points to no resource, because its spelling is another kind's or leaves
    out a part: the shortest form for each kind, with the ids of the referrer's path."""
    return f"write it as {' or '.join(dict.fromkeys(_shortest(kind, ids) for kind in kinds))}"


def _shortest(kind: Kind, ids: Mapping[str, str]) -> str:
    """The collection without what the referrer's own path gives, such as
    `networks/<network>/subnets/<name>`."""
    steps = kind.collection.split("/")
    pairs = [steps[n : n + 2] for n in range(0, len(steps), 2)]
    missing = [pair for pair in pairs if len(pair) == 1 or pair[1].strip("{}") not in ids]
    form = "/".join(step for pair in missing for step in pair)
    return f"{form}/<name>".replace("{", "<").replace("}", ">")


def _to_list(kind: Kind, ids: Mapping[str, str]) -> str:
    return f"{kind.url.format_map(ids)} lists the existing ones"
