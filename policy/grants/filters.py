"""Lists that show only some of a collection: a caller who may not list all of it may hold `list` in
some workspaces, or `get` on resources that a role names. Pure."""

from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from secaplane.model.actor import Actor
from secaplane.policy.grants.patterns import EVERY, covering
from secaplane.policy.grants.rules import AccessRequest, Grant, dimension_of, matches

NAMES_MAX = 64
"""Names that one list is limited to; who holds more is refused."""
CANDIDATES_MAX = 512


class ListRights(msgspec.Struct, frozen=True):
    """The right to list a collection, or only the resources with some names."""

    actor: Actor
    names: tuple[str, ...] | None = None
    """None: the whole collection."""


def candidates(grants: Iterable[Grant], request: AccessRequest) -> Iterator[AccessRequest]:
    """The requests that show a single resource of the collection that a request lists: a `get` of a
    resource that a role names, and, of workspaces, a `list` in one that a scope names."""
    found = (each for grant in grants for each in _candidates(grant, request))
    return iter(dict.fromkeys(islice(found, CANDIDATES_MAX)))


def name_of(listed: AccessRequest, single: AccessRequest) -> str:
    """The name of the resource that a candidate is about."""
    if single.verb == "list":
        return single.workspace
    return single.nested.removeprefix(f"{listed.nested}/")


def lists_workspaces(request: AccessRequest) -> bool:
    """Of all collections, only workspaces are divided by the scopes of assignments."""
    return request.nested == "workspaces"


def _candidates(grant: Grant, listed: AccessRequest) -> Iterator[AccessRequest]:
    wide = covering(listed.flat, listed.nested)
    for (provider, pattern), verbs in grant.role.verbs.items():
        if provider != listed.provider:
            continue
        if any(matches("get", verb) for verb in verbs):
            yield from _named(pattern, listed)
        if lists_workspaces(listed) and pattern in wide and any(matches("list", v) for v in verbs):
            for scope in grant.scopes:
                for workspace in dimension_of(scope, "workspaces"):
                    if workspace != EVERY:
                        yield msgspec.structs.replace(listed, workspace=workspace)


def _named(pattern: str, listed: AccessRequest) -> Iterator[AccessRequest]:
    """A `get` of the resource that a pattern names: `instances/one`, `networks/n/*`."""
    stem = pattern.removesuffix("/*")
    collection, _, name = stem.rpartition("/")
    if name and collection in (listed.flat, listed.nested):
        yield msgspec.structs.replace(
            listed,
            verb="get",
            flat=f"{listed.flat}/{name}",
            nested=f"{listed.nested}/{name}",
            workspace=name if lists_workspaces(listed) else listed.workspace,
        )
