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


def remark(kind: Kind, spec: Json) -> str:
    """Why an accepted spec, or a part of it, has no effect: the newest condition says so."""
    return kind.derived.remark(spec) or matches_nothing(kind, spec)


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
