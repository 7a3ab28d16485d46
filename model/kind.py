"""What a kind is: a row of data that the whole house reads."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from secaplane.model.errors import BrokenRule
from secaplane.model.shape import Json, Ref, Resource, Status

ParentsByKind = Mapping[str, Resource]
"""The resources that surround one, by kind: its tenant, its workspace, its network."""
Check = Callable[[Json | None, Json, ParentsByKind], Iterable[BrokenRule]]
"""A rule no field can say: (former spec or None, wanted spec, what is around it) -> the rules it
breaks."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A reference in a spec: where it stands, and what it may point to (CONTRACT: References)."""

    at: str
    """JSON pointer below the spec; `*` stands for every item of a list."""
    to: tuple[str, ...]
    """Kinds, by name."""
    strict: bool = True
    """Its target must exist and not be going; otherwise it is bound when the target appears."""
    switch: str = ""
    """The setting that can make it deferred."""
    addresses: bool = False
    """It may also be an IP address or a CIDR, which points to no resource."""
    all_of_them: bool = False
    """`*` stands for every target there is, and so points to none."""
    holds: bool = False
    """Its target cannot be deleted while this resource lives."""
    follows: bool = False
    """What is found of this resource depends on how its target is."""
    through: str = ""
    """Likewise, how the resources of this kind are that use the target, too."""
    drops: bool = False
    """The deletion of its target takes it out of the spec."""


class CompanionResource(NamedTuple):
    """Another resource that one brings along."""

    kind: str
    path: str
    spec: Json
    action: str = ""
    """What is asked of it once it is there."""


class OwnedResources(NamedTuple):
    """The resources that live and die with another, made and ended by its reconciler."""

    stem: str
    """How all their names begin, and no other's."""
    members: Sequence[CompanionResource]
    """In the order in which they are made."""


class QuotaWeight(NamedTuple):
    """What a resource takes of something that its tenant may have only so much of."""

    what: str
    """As quotas name it."""
    at: str
    """JSON pointer to the number: below the spec of its SKU, or below its own, where it may only
    grow."""
    of_sku: bool = False


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
    set_once: tuple[str, ...] = ()
    """JSON pointers below the spec that may be set later, once, and are fixed then."""
    zones: tuple[str, ...] = ()
    """JSON pointers below the spec that name a zone of the region."""
    links: tuple[Link, ...] = ()
    """The references in its spec."""
    secret: tuple[str, ...] = ()
    """JSON pointers below the spec whose strings never reach the log in clear."""
    secret_status: tuple[str, ...] = ()
    """JSON pointers below the status of which the same holds."""
    actions: tuple[str, ...] = ()
    """What can be asked of it with POST; `model.power` says what each means."""
    check: Check | None = None
    first: Callable[[Json], Json] = lambda spec: {}
    """The status fields known from the spec alone, shown from the first answer on."""
    companion: Callable[[Ref, Json, str], CompanionResource] | None = None
    """What the resource brings along once in each of its lives, and takes along when it goes: (its
    ref, its spec, who created it) -> companion."""
    owned: Callable[[Resource], OwnedResources] | None = None
    owned_status: Callable[[Sequence[Ref]], Json] = lambda members: {}
    """The status fields that show its brood."""
    weighs: tuple[QuotaWeight, ...] = ()
    """What quotas count besides the number of resources."""
    attachable: bool = False
    """Its status shows the instance that uses it, as `attachedTo`."""
    counting: bool = False
    """Its status shows how many resources lie in it, as `resourceCount`."""
    constants: frozenset[str] = frozenset()
    """Names that every tenant has from its beginning, without an event; `query.constants` shows
    them."""
    reserved: str = ""
    """How names begin that are the house's own: nobody changes or deletes what bears them."""
    from_catalogue: bool = False
    """From the catalogue: read-only, without status, the same under every tenant."""
    shared: bool = False
    """Those of the shared tenant are found from everywhere, without naming it."""
    deletable: bool = True
    """Over HTTP; what is not, is for who stands at the machine to delete."""
    takes_along: tuple[str, ...] = ()
    """Kinds that lie in it and go with it, whatever a site has chosen."""
    by_plugin: bool = True
    """A plugin makes it real; otherwise it is real as soon as it is recorded."""
    spec_optional: bool = False
    recorded: bool = True
    """It is one resource in the log; otherwise a mere view of it, and can only be listed."""
    also_below: tuple[str, ...] = ()
    """Collections of former versions of the standard that lead to the same resources."""

    @property
    def url(self) -> str:
        return f"{self.provider.base}/{self.collection}"

    @property
    def urls(self) -> tuple[str, ...]:
        """Where its collection is answered, the one of today first."""
        return (self.url, *(f"{self.provider.base}/{each}" for each in self.also_below))

    @property
    def writable(self) -> bool:
        return not self.from_catalogue and self.recorded

    @cached_property
    def verbs(self) -> tuple[str, ...]:
        """What can be asked of one of it by path, beside `list` of all."""
        if not self.recorded:
            return ()
        if self.from_catalogue:
            return ("get",)
        return ("get", "put", *(("delete",) if self.deletable else ()))

    @cached_property
    def sealed(self) -> bool:
        """Something in it never reaches the log in clear."""
        return bool(self.secret or self.secret_status)

    @cached_property
    def follows(self) -> bool:
        """What is found of it may change because something else did."""
        return any(link.follows for link in self.links)

    @cached_property
    def counted(self) -> bool:
        """Its tenant may be allowed only so many of it."""
        return self.writable and "tenant" in self.scope

    @cached_property
    def sku(self) -> Link | None:
        """The reference to what it is made by."""
        return next((link for link in self.links if link.at == "/skuRef"), None)

    @cached_property
    def sized(self) -> str:
        """Where its own spec says how large it is."""
        return next((weight.at for weight in self.weighs if not weight.of_sku), "")

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

    def unsettled(self, resource: Resource) -> bool:
        """Whether there is something to do for it; what is on offer is as it is said to be."""
        return resource.unsettled and (not self.from_catalogue or resource.deleted_at is not None)

    def ref(self, ids: Mapping[str, str], name: str) -> Ref:
        return Ref(self.name, f"{self.collection.format_map(ids)}/{name}")

    def ids(self, path: str) -> dict[str, str]:
        """The ids in a path of this kind, without its name."""
        steps = zip(self.collection.split("/"), path.split("/"), strict=False)
        return {place[1:-1]: step for place, step in steps if place.startswith("{")}

    def urn(self, ref: Ref) -> str:
        return f"{self.provider.joined}/{ref.path}"

    def resource(self, path: str) -> str:
        """The path within its scope, as `metadata.resource` has it."""
        return "/".join(path.split("/")[self.lead :])
