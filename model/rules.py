"""Rules that compare the spec of a PUT with the present resource, or with other resources, as data
of a kind. Pure.

A rule names the fields that it is about, and is asked when a PUT sets or changes one of them: never
because of labels. It is asked before the append, and again after it on what preceded the append
(`command.post_append`).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from secaplane.model.errors import BrokenRule
from secaplane.model.pointer import at
from secaplane.model.shape import Json, Resource


class ProposedSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The spec of a PUT, and the resources that its rules may read."""

    spec: Json
    before: Resource | None = None
    """The resource that it would change; None where it would create one."""
    parents: Mapping[str, Resource] = {}
    """The resources in its path, by kind: its tenant, workspace, network."""
    targets: Mapping[str, Resource] = {}
    """The targets of its references, by JSON pointer below the spec; those of
    `ComparedRule.follows` by both pointers in a row: `/nicRef/subnetRef`."""
    any_ranges: bool = False
    """The site allows networks whose ranges are not private."""


@dataclass(frozen=True, kw_only=True)
class ComparedRule:
    """A rule that the value of a PUT itself breaks (422)."""

    fields: tuple[str, ...]
    """JSON pointers below the spec."""
    check: Callable[[ProposedSpec], Iterable[BrokenRule]]
    parents: tuple[str, ...] = ()
    """Kinds of the parents that it reads."""
    targets: tuple[str, ...] = ()
    """Pointers of the references whose targets it reads."""
    follows: tuple[tuple[str, str], ...] = ()
    """(pointer of a reference, pointer below the spec of its target): a target's target that it
    reads."""


@dataclass(frozen=True, kw_only=True)
class UseRule:
    """A change that others forbid, because they use the former value (409, with the blockers)."""

    fields: tuple[str, ...]
    """JSON pointers below the spec."""
    uses: Callable[[ProposedSpec, Resource], bool]
    """(the proposed spec, another resource) -> whether its use forbids the change."""
    detail: str
    """The refusal; `{}` stands for the number of blockers."""
    children: tuple[str, ...] = ()
    """The others are children of these kinds."""
    referrers: tuple[str, ...] = ()
    """The others are resources of these kinds that refer to the resource."""


def changes(fields: Iterable[str], old: Json | None, new: Json) -> bool:
    """True if a PUT sets or changes one of the fields."""
    return old is None or any(at(old, field) != at(new, field) for field in fields)
