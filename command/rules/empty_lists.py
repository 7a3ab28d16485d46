"""Lists whose absence means "all" (`SpecRules.absent_means_all`): an empty one never does. Pure."""

from collections.abc import Iterator

from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind
from secaplane.model.pointer import every
from secaplane.model.shape import Json


def broken_empty_lists(kind: Kind, spec: Json) -> Iterator[BrokenRule]:
    """Every empty list that is refused."""
    for field in kind.rules.absent_means_all:
        for pointer, value in every(spec, field.at) if not field.accepted else ():
            if value == []:
                yield BrokenRule("is an empty list: leave it out to mean all", f"/spec{pointer}")


def matches_nothing(kind: Kind, spec: Json) -> str:
    """A remark on the empty lists that are accepted; empty where there is none."""
    places = [
        f"/spec{pointer}"
        for field in kind.rules.absent_means_all
        for pointer, value in every(spec, field.at)
        if value == []
    ]
    if not places:
        return ""
    return f"matches nothing because of an empty list, {places[0]}: leave it out to mean all"
