"""Kind: everything in which one kind of resource differs from another, as data.

Routes, validation, references, OpenAPI, tables and tests are derived from these fields. A new kind
needs `provider`, `name`, `title`, `collection`, `spec`, and mostly `status`, `rules` and `links`;
the other groups have defaults. Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property
from typing import Any, NamedTuple

from secaplane.model.errors import BrokenRule
from secaplane.model.rules import ComparedRule, UseRule
from secaplane.model.shape import Json, Ref, Resource, Status

Check = Callable[[Json], Iterable[BrokenRule]]
"""A rule within one spec that no schema can express: spec -> broken rules."""


@dataclass(frozen=True)
class AbsentMeansAll:
    """A list that restricts something, and whose absence means "no restriction". Present and empty,
    it never means that: the last item may have been removed by a program."""

    at: str
    """JSON pointer below the spec; `*` stands for every item of a list."""
    accepted: bool = False
    """An empty list is accepted, because a released client sends it, and means that nothing
    matches; the newest condition says so. Otherwise it is refused."""


@dataclass(frozen=True, kw_only=True)
class SpecRules:
    """Rules of a spec beyond the types of its fields. Fields are named by JSON pointers."""

    optional: bool = False
    """A PUT may leave the spec out."""
    immutable: tuple[str, ...] = ()
    """Fields that no update may change."""
    set_once: tuple[str, ...] = ()
    """Fields that an update may set if they are absent, but not change."""
    zones: tuple[str, ...] = ()
    """Fields that must name a zone of the region."""
    absent_means_all: tuple[AbsentMeansAll, ...] = ()
    """Lists whose absence means "all"."""
    empty_is_absent: tuple[str, ...] = ()
    """Names of fields whose empty list means the same as no field."""
    check: Check | None = None
    """A rule within one spec, judged with its schema."""
    compared: tuple[ComparedRule, ...] = ()
    """Rules that compare the spec with the present resource, its parents or its targets."""
    in_use: tuple[UseRule, ...] = ()
    """Changes that others forbid because they use the former value."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """A reference in a spec: its field, its target kinds, and its effects (docs/reference/api.md).

    Two links with the same field are alternatives.
    """

    at: str
    """JSON pointer below the spec; `*` stands for every item of a list."""
    to: tuple[str, ...]
    """Names of the kinds that the reference may point to."""
    strict: bool = True
    """The target must exist and not be terminating; otherwise the reference is deferred: it is
    bound as soon as the target appears."""
    deferrable_as: str = ""
    """The setting in `[references]` that can make a strict link deferred; empty: none can."""
    allows_address: bool = False
    """The value may be an IP address or a CIDR, which points to no resource."""
    allows_wildcard: bool = False
    """The value may be `*`, which stands for every target and points to none."""
    excludes: tuple[str, ...] = ()
    """Fields of this resource, and of others of its kind, that may not refer to the same target:
    so a NIC belongs to one instance. An exclusion is named at both fields."""
    blocks_deletion: bool = False
    """The target cannot be deleted while this resource exists."""
    affects_status: bool = False
    """The observed status depends on the target, so its changes cause a reconciliation."""
    fails_with_target: bool = False
    """A change of the target can put this resource in `error`, and out of it, without a PUT of its
    own."""
    shared_through: str = ""
    """A kind whose resources affect the status, too, if they refer to the same target."""
    removed_with_target: bool = False
    """The deletion of the target removes the reference from the spec."""
    removal: Callable[[Json, Ref, str], Json] | None = None
    """(spec, target, region) -> the spec without the target, where more has to go than the item of
    the list."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Strings that are encrypted in the log and the read model, by JSON pointers."""

    spec: tuple[str, ...] = ()
    status: tuple[str, ...] = ()


class CompanionResource(NamedTuple):
    """A resource that the control plane creates on behalf of another one."""

    kind: str
    path: str
    spec: Json
    action: str = ""
    """The action to request once the resource is active; empty: none."""


class OwnedResources(NamedTuple):
    """The members of a resource (nodes of a pool): its reconciler creates and deletes them."""

    name_prefix: str
    """The names of all members begin with it, and no other resource's name does."""
    members: Sequence[CompanionResource]
    """In the order in which they are created; deletion goes backwards."""


@dataclass(frozen=True, kw_only=True)
class Ownership:
    """Resources that exist because of another one, and are deleted with it."""

    companion: Callable[[Ref, Json, str], CompanionResource] | None = None
    """(ref, spec, sub of the creator) -> one resource, created once in each life of the owner."""
    members: Callable[[Resource], OwnedResources] | None = None
    """(owner) -> its members now; their number follows the owner's spec."""
    status: Callable[[Sequence[Ref]], Json] = lambda members: {}
    """(members) -> the status fields of the owner that show them."""
    cascades: tuple[str, ...] = ()
    """Kinds of children whose resources are deleted with it whatever is configured."""


class QuotaWeight(NamedTuple):
    """The amount that one resource takes of a quota that counts more than resources."""

    quota: str
    """The quota's name in the tenant's spec: `volumeGB`."""
    at: str
    """JSON pointer to the amount: below the spec of its SKU, or below its own spec, where it may
    only grow."""
    of_sku: bool = False


@dataclass(frozen=True, kw_only=True)
class DerivedStatus:
    """Status fields that no plugin reports."""

    initial: Callable[[Json], Json] = lambda spec: {}
    """(spec) -> the status fields that are shown before the first report."""
    attached_to: bool = False
    """The status shows the instance that uses the resource, as `attachedTo`."""
    remark: Callable[[Json], str] = lambda spec: ""
    """(spec) -> why the resource has no effect, as the newest condition says; empty if it has."""
    resource_count: bool = False
    """The status shows the number of resources below it, as `resourceCount`."""


class Backing(Enum):
    """The origin of the resources of a kind."""

    PLUGIN = auto()
    """A plugin creates them in the cloud."""
    RECORD = auto()
    """They exist in the control plane alone: active as soon as they are recorded."""
    CATALOGUE = auto()
    """The cloud's catalogue lists them: read-only, without status, the same for every tenant."""
    VIEW = auto()
    """They are entries of a view of the log, without events of their own: they can be listed."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Exceptions in how the API exposes the resources of a kind."""

    former_collections: tuple[str, ...] = ()
    """Collections of former versions of the standard that lead to the same resources."""
    to_all_tenants: bool = False
    """References of every tenant find the resources of the shared tenant without naming it."""
    deletable: bool = True
    """A caller may delete them over HTTP; otherwise only an operator can, on the command line."""
    reserved_prefixes: tuple[str, ...] = ()
    """Names with these prefixes belong to the control plane: no caller writes or deletes them."""
    builtin_names: frozenset[str] = frozenset()
    """Resources that every tenant has without an event (`query.builtin`)."""


NAME_LENGTH_MAX, SCOPE_LENGTH_MAX = 128, 64
"""Longest name of a resource, and of one that is the scope of others (SECA: resource envelope)."""
METADATA_SCOPES = ("tenant", "workspace", "network")
"""The ids of a path that a metadata class repeats as fields (SECA: resource envelope)."""


@dataclass(frozen=True)
class Provider:
    """A SECA provider: a namespace of kinds with a version, and a part of the URL."""

    name: str
    version: str
    regional: bool = True

    @property
    def base(self) -> str:
        return f"/providers/{self.name}/{self.version}"

    @cached_property
    def full_name(self) -> str:
        return f"{self.name}/{self.version}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One kind of resource. The first eight fields describe most kinds."""

    provider: Provider
    name: str
    """As in `metadata.kind`: `block-storage`."""
    title: str
    """As in operation ids and schema names: `BlockStorage`."""
    collection: str
    """Path of the collection below the provider, ids in braces. Scope, parents and URL follow."""
    spec: Any
    status: type[Status] = Status
    name_length_max: int = NAME_LENGTH_MAX
    """Shorter for kinds whose names others use: in paths below them, and in role assignments."""
    rules: SpecRules = SpecRules()
    links: tuple[Link, ...] = ()

    backing: Backing = Backing.PLUGIN
    actions: tuple[str, ...] = ()
    """Actions that a POST can request (`model.power`)."""
    secrets: Secrets = Secrets()
    owned: Ownership = Ownership()
    quota: tuple[QuotaWeight, ...] = ()
    derived: DerivedStatus = DerivedStatus()
    exposure: Exposure = Exposure()

    @property
    def url(self) -> str:
        return f"{self.provider.base}/{self.collection}"

    @property
    def urls(self) -> tuple[str, ...]:
        """URLs of the collection, the current one first."""
        former = self.exposure.former_collections
        return (self.url, *(f"{self.provider.base}/{each}" for each in former))

    @cached_property
    def writable(self) -> bool:
        return self.backing in (Backing.PLUGIN, Backing.RECORD)

    @cached_property
    def verbs(self) -> tuple[str, ...]:
        """Verbs of the API for one resource by path; every collection can be listed besides."""
        if self.backing in (Backing.VIEW, Backing.CATALOGUE):
            return ("get",)
        return ("get", "put", *(("delete",) if self.exposure.deletable else ()))

    @cached_property
    def has_history(self) -> bool:
        """Its resources are recorded, and the views of one resource show their history."""
        return self.backing is not Backing.VIEW

    @cached_property
    def has_status(self) -> bool:
        """False for entries of the catalogue."""
        return self.backing is not Backing.CATALOGUE

    @cached_property
    def is_versioned(self) -> bool:
        """The metadata has times and `resourceVersion`, which the standard omits for SKUs."""
        return self.has_status or not self.metadata_scopes

    @cached_property
    def has_secrets(self) -> bool:
        return bool(self.secrets.spec or self.secrets.status)

    @cached_property
    def is_dependent(self) -> bool:
        """The observed status may change because another resource changed."""
        return any(link.affects_status for link in self.links)

    @cached_property
    def fails_with_target(self) -> bool:
        """Another resource's change can put one of this kind in `error`, and out of it again."""
        return any(link.fails_with_target for link in self.links)

    @cached_property
    def exclusive_links(self) -> tuple[Link, ...]:
        """The links whose targets no other field may refer to."""
        return tuple(link for link in self.links if link.excludes)

    @cached_property
    def parents_read(self) -> frozenset[str]:
        """Kinds of the parents that its rules read."""
        return frozenset(name for rule in self.rules.compared for name in rule.parents)

    @cached_property
    def is_related(self) -> bool:
        """A PUT may be refused because of other resources, and the other way round."""
        blocking = any(link.blocks_deletion for link in self.links)
        return bool(blocking or self.rules.compared or self.rules.in_use or self.exclusive_links)

    @cached_property
    def counted(self) -> bool:
        """A quota of the tenant may limit the number of resources of this kind."""
        return self.writable and "tenant" in self.scope

    @cached_property
    def sku(self) -> Link | None:
        """The link to the SKU."""
        return next((link for link in self.links if link.at == "/skuRef"), None)

    @cached_property
    def amount_at(self) -> str:
        """JSON pointer to the amount below the resource's own spec that a quota limits, or ""."""
        return next((weight.at for weight in self.quota if not weight.of_sku), "")

    @cached_property
    def scope(self) -> tuple[str, ...]:
        """Names of the ids in the path before the resource's own: tenant, workspace, network."""
        return tuple(re.findall(r"{(\w+)}", self.collection))

    @cached_property
    def metadata_scopes(self) -> tuple[tuple[int, str], ...]:
        """(index of the path segment, metadata field) of the ids that metadata repeats."""
        steps = self.collection.split("/")
        return tuple((steps.index(f"{{{i}}}"), i) for i in self.scope if i in METADATA_SCOPES)

    def unsettled(self, resource: Resource) -> bool:
        """True while a reconciler has to act. An entry of the catalogue needs none until it is
        deleted."""
        in_catalogue = self.backing is Backing.CATALOGUE
        return resource.unsettled and (not in_catalogue or resource.deleted_at is not None)

    def ref(self, ids: Mapping[str, str], name: str) -> Ref:
        return Ref(self.name, f"{self.collection.format_map(ids)}/{name}")

    def ids(self, path: str) -> dict[str, str]:
        """The ids in a path of this kind, without the resource's own name."""
        steps = zip(self.collection.split("/"), path.split("/"), strict=False)
        return {place[1:-1]: step for place, step in steps if place.startswith("{")}

    def urn(self, ref: Ref) -> str:
        return f"{self.provider.full_name}/{ref.path}"

    def resource(self, path: str) -> str:
        """The path below tenant and workspace, as `metadata.resource` shows it."""
        return "/".join(path.split("/")[self.scope_segments :])

    @cached_property
    def scope_segments(self) -> int:
        """Number of path segments that name tenant and workspace."""
        return 2 * sum(1 for i in self.scope if i in ("tenant", "workspace"))
