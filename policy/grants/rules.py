"""Roles and assignments as grants, and grants as rules that casbin decides over (SECA:
authorization; docs/reference/api.md). Pure.

A grant is not multiplied out into one rule for each resource pattern, verb and workspace: for a
request it yields only the rules that can match, however large the role is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from secaplane.kinds import KINDS
from secaplane.kinds.views import AUDIT, HISTORY
from secaplane.model.kind import Backing
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json
from secaplane.policy.grants.patterns import EVERY, covering, names_item
from secaplane.policy.grants.system_roles import READ, SYSTEM_ROLES

NO_WORKSPACE = ""
STANDARD = "seca."
"""The prefix of the standard's providers."""
GRANTABLE = (STANDARD, AUDIT.name)
"""Prefixes of the providers that roles can name. Secaplane's provider of tenants and revocations is
granted by the configuration alone."""
CONFIGURATION = "configuration"
"""In place of an assignment: the configuration names the caller as an operator."""
ADMIN_PROVIDER = KINDS["tenant"].provider.name
_OFFERING = sorted(
    {k.provider.name for k in KINDS.values() if k.backing is Backing.CATALOGUE and k.scope}
)


class AccessRequest(msgspec.Struct, frozen=True):
    """A request, in the order of `request_definition` in casbin's model (`model.conf`)."""

    provider: str
    flat: str
    nested: str
    verb: str
    tenant: str
    region: str
    workspace: str


class Rule(msgspec.Struct, frozen=True):
    """A rule, in the order of `policy_definition` in casbin's model (`model.conf`)."""

    provider: str
    resource: str
    verb: str
    tenant: str
    region: str
    workspace: str
    assignment: str
    """The assignment and the role in it that it comes from: events record it with their actor."""


def viewed(view: str, request: AccessRequest) -> AccessRequest:
    """The request for a view of what a request is about: the history of a resource, in that
    resource's scopes; or a view of a whole tenant. The history of what no role can grant (a tenant,
    a revocation) is outside of every tenant, so that only the configuration grants it."""
    if view != HISTORY:
        return replace(request, provider=AUDIT.name, flat=view, nested=view)
    return replace(
        request,
        provider=AUDIT.name,
        flat=f"{view}/{request.flat}",
        nested=f"{view}/{request.nested}",
        tenant="" if request.provider == ADMIN_PROVIDER else request.tenant,
    )


def matches(requested: str, allowed: str) -> bool:
    """One dimension of a rule: equal, or `*`; the verb `post` matches every action."""
    return allowed in (EVERY, requested) or (allowed == "post" and requested.startswith("post."))


class Role:
    """The permissions of a role: verbs by provider and resource pattern."""

    __slots__ = ("life", "names_items", "verbs")

    def __init__(
        self,
        spec: Json,
        *,
        providers: str | tuple[str, ...] = GRANTABLE,
        life: Position = BEGINNING,
    ) -> None:
        self.life = life
        self.verbs: dict[tuple[str, str], dict[str, None]] = {}
        for permission in spec["permissions"]:
            provider = permission["provider"].partition("/")[0]
            if provider.startswith(providers):
                verbs = dict.fromkeys(verb.lower() for verb in permission["verb"])
                for pattern in permission["resources"]:
                    self.verbs.setdefault((provider, pattern), {}).update(verbs)
        self.names_items = any(names_item(pattern) for _, pattern in self.verbs)

    def permissions(self) -> Iterator[tuple[str, str, str]]:
        for (provider, pattern), verbs in self.verbs.items():
            for verb in verbs:
                yield provider, pattern, verb


class Grant(msgspec.Struct, frozen=True):
    """A role in the scopes in which an assignment grants it."""

    role: Role
    tenant: str
    scopes: Sequence[Json]
    """A dimension that is missing is not restricted; an empty one matches nothing."""
    assignment: str

    def matching_rules(self, request: AccessRequest) -> Iterator[Rule]:
        """The rules that can allow a request, those with the widest patterns first."""
        permissions = [
            (request.provider, pattern, verb)
            for pattern in covering(request.flat, request.nested)
            for verb in self.role.verbs.get((request.provider, pattern), ())
            if matches(request.verb, verb)
        ]
        places = self._places(request) if permissions else ()
        for permission in permissions:
            for place in places:
                yield Rule(*permission, *place, self.assignment)

    def _places(self, request: AccessRequest) -> set[tuple[str, str, str]]:
        if not matches(request.tenant, self.tenant):
            return set()
        return {
            (self.tenant, region, workspace)
            for scope in narrowed(self.scopes, request.region, request.workspace)
            for region in scope["regions"]
            for workspace in scope["workspaces"]
        }

    def rules(self) -> Iterator[Rule]:
        """All its rules, multiplied out; an iterator, because there may be very many."""
        for scope in self.scopes:
            for region in dimension_of(scope, "regions"):
                for workspace in dimension_of(scope, "workspaces"):
                    for permission in self.role.permissions():
                        yield Rule(*permission, self.tenant, region, workspace, self.assignment)


def dimension_of(scope: Json, dimension: str) -> Sequence[str]:
    """The regions or workspaces of a scope; EVERY where it does not restrict them. An empty list
    grants nothing."""
    named: Sequence[str] = scope.get(dimension, (EVERY,))
    return named


def narrowed(scopes: Sequence[Json], region: str, workspace: str) -> list[Json]:
    """The parts of scopes that can match in one region and workspace: at most four, however many
    scopes there are."""
    parts: dict[tuple[tuple[str, ...], ...], Json] = {}
    for scope in scopes:
        regions = tuple(r for r in {EVERY: 0, region: 0} if r in dimension_of(scope, "regions"))
        workspaces = tuple(
            w for w in {EVERY: 0, workspace: 0} if w in dimension_of(scope, "workspaces")
        )
        if regions and workspaces:
            parts[regions, workspaces] = {"regions": regions, "workspaces": workspaces}
    return list(parts.values())


def applies_in(scope: Json, tenant: str) -> bool:
    """True if a scope of an assignment covers the assignment's own tenant. An assignment grants
    nothing in other tenants, whichever it names: otherwise an administrator of one tenant could
    become the administrator of all. A scope with an empty list covers nothing."""
    tenants = scope.get("tenants", (tenant,))
    return (tenant in tenants or EVERY in tenants) and all(scope.values())


def assignment_scopes(tenant: str, spec: Json) -> list[Json]:
    """The scopes of an assignment that cover its own tenant."""
    return [scope for scope in spec["scopes"] if applies_in(scope, tenant)]


def assignment_grants(
    tenant: str, name: str, spec: Json, roles: Mapping[str, Role], scopes: Sequence[Json]
) -> Iterator[Grant]:
    """The grants that one assignment of a tenant makes to each of its subs in some of its scopes.
    `roles` are the tenant's roles by name; a role that does not exist grants nothing."""
    for role_name in dict.fromkeys(spec["roles"]) if scopes else ():
        role = SYSTEM.get(role_name) or roles.get(role_name)
        if role is not None:
            yield Grant(role, tenant, scopes, f"{name}/{role_name}")


def catalogue_grant(tenant: str, name: str) -> Grant:
    """The catalogue of the tenant, which every holder of an assignment may read."""
    return Grant(_CATALOGUE, tenant, _ANYWHERE, f"{name}/catalogue")


def _role(permissions: Iterable[tuple[str, str, Sequence[str]]]) -> Role:
    return Role(
        {
            "permissions": [
                {"provider": provider, "resources": [pattern], "verb": list(verbs)}
                for provider, pattern, verbs in permissions
            ]
        },
        providers="",
    )


_ANYWHERE: Sequence[Json] = ({},)
_CATALOGUE = _role((provider, "skus/*", READ) for provider in _OFFERING)
SYSTEM: Mapping[str, Role] = {name: Role(spec) for name, spec in SYSTEM_ROLES.items()}
EVERYONE = Grant(_role([("seca.region", "regions/*", READ)]), EVERY, _ANYWHERE, "everyone")
"""Every authenticated caller may read the regions."""
OPERATOR = Grant(
    _role(
        [
            (ADMIN_PROVIDER, "tenants/*", (*READ, "put")),
            (ADMIN_PROVIDER, "revocations/*", (*READ, "put", "delete")),
            (AUDIT.name, f"{HISTORY}/tenants/*", READ),
            (AUDIT.name, f"{HISTORY}/revocations/*", READ),
        ]
    ),
    EVERY,
    _ANYWHERE,
    CONFIGURATION,
)
"""The operators that the configuration names may create tenants, revoke tokens, and see the history
of both."""
