"""What a kind is: a row of data that the whole house reads."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from model.errors import Broken
from model.shape import Json, Ref, Resource, Status

Check = Callable[[Json | None, Json], Iterable[Broken]]
"""A rule no field can say: (former spec or None, wanted spec) -> the rules it breaks."""


class Companion(NamedTuple):
    """A second resource that a caller must find at once when the first has come into being."""

    kind: str
    path: str
    spec: Json


SHOWN_SCOPES = ("tenant", "workspace", "network")
"""The ids of a path that a metadata class repeats as fields (digest, section 5)."""


@dataclass(frozen=True)
class Provider:
    """A SECA namespace of kinds."""

    name: str
    version: str
    regional: bool = True

    @property
    def base(self) -> str:
        return f"/providers/{self.name}/{self.version}"

    @property
    def joined(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One sort of resource. Everything that differs between two kinds differs in these fields."""

    provider: Provider
    name: str
    """As `metadata.kind` writes it."""
    title: str
    """As operation ids and schemas write it: `BlockStorage`."""
    collection: str
    """Path of the collection below the provider, ids in braces: says scope, parents and URL."""
    spec: Any
    status: type[Status] = Status
    immutable: tuple[str, ...] = ()
    """JSON pointers below the spec that no update may change."""
    secret: tuple[str, ...] = ()
    """JSON pointers below the spec whose strings never reach the log in clear."""
    actions: tuple[str, ...] = ()
    check: Check | None = None
    first: Callable[[Json], Json] = lambda spec: {}
    """The status fields known from the spec alone, shown from the first answer on."""
    companion: Callable[[Ref, Json], Companion] | None = None
    """What the resource brings along once in each of its lives: (its ref, its spec) ->
    companion."""
    reserved: str = ""
    """How names begin that are the house's own: nobody changes or deletes what bears them."""
    offered: bool = False
    """From the catalogue: read-only, without status, the same under every tenant."""
    deletable: bool = True
    by_plugin: bool = True
    """A plugin makes it real; otherwise it is real as soon as it is recorded."""
    spec_optional: bool = False

    @property
    def url(self) -> str:
        return f"{self.provider.base}/{self.collection}"

    @property
    def writable(self) -> bool:
        return not self.offered

    @cached_property
    def scope(self) -> tuple[str, ...]:
        """The ids that surround the resource: tenant, workspace, network ..."""
        return tuple(re.findall(r"{(\w+)}", self.collection))

    @cached_property
    def shown(self) -> tuple[tuple[int, str], ...]:
        """(segment of the path, metadata field) of the surrounding ids that metadata repeats."""
        steps = self.collection.split("/")
        return tuple((steps.index(f"{{{i}}}"), i) for i in self.scope if i in SHOWN_SCOPES)

    @cached_property
    def lead(self) -> int:
        """How many segments of the path are scope, not resource: tenant and workspace."""
        return 2 * sum(1 for i in self.scope if i in ("tenant", "workspace"))

    def unfinished(self, resource: Resource) -> bool:
        """Whether there is something to do for it; what is on offer is as it is said to be."""
        return resource.unfinished and (not self.offered or resource.deleted_at is not None)

    def ref(self, ids: Mapping[str, str], name: str) -> Ref:
        return Ref(self.name, f"{self.collection.format_map(ids)}/{name}")

    def urn(self, ref: Ref) -> str:
        return f"{self.provider.joined}/{ref.path}"

    def resource(self, path: str) -> str:
        """The path within its scope, as `metadata.resource` has it."""
        return "/".join(path.split("/")[self.lead :])
