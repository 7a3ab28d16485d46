"""What roles and assignments come to: who may what, where. Pure (digest, section 11; CONTRACT: Who
may).

Nothing is multiplied out. A role of many resources, given in many workspaces, is asked for the few
lines that can fit what somebody wants; only those become rules.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.shape import Json
from secaplane.policy.grants.patterns import EVERY, covering, including, names_item
from secaplane.policy.grants.system_roles import READ, SYSTEM_ROLES

NO_WORKSPACE = ""
STANDARD = "seca."
"""How the names of providers begin that roles can speak of: what is the house's own is given by its
configuration alone."""
ADMIN_PROVIDER = KINDS["tenant"].provider.name
_OFFERING = sorted(
    {k.provider.name for k in KINDS.values() if k.backing is Backing.CATALOGUE and k.scope}
)


class AccessRequest(msgspec.Struct, frozen=True):
    """What is asked for, in casbin's words (`model.conf`)."""

    provider: str
    flat: str
    nested: str
    verb: str
    tenant: str
    region: str
    workspace: str


class Rule(msgspec.Struct, frozen=True):
    """One line of casbin's policy, in the order `model.conf` defines."""

    provider: str
    resource: str
    verb: str
    tenant: str
    region: str
    workspace: str
    assignment: str
    """Which assignment, and which role in it, says so: for the event's envelope."""


def named(asked: str, allowed: str) -> bool:
    """A dimension: the very one, or `*`; and `post` stands for every action."""
    return allowed in (EVERY, asked) or (allowed == "post" and asked.startswith("post."))


class Role:
    """What a role allows: verbs, by provider and resource pattern."""

    __slots__ = ("names_items", "verbs")

    def __init__(self, spec: Json, *, providers: str = STANDARD) -> None:
        self.verbs: dict[tuple[str, str], dict[str, None]] = {}
        for permission in spec["permissions"]:
            provider = permission["provider"].partition("/")[0]
            if provider.startswith(providers):
                verbs = dict.fromkeys(verb.lower() for verb in permission["verb"])
                for pattern in permission["resources"]:
                    self.verbs.setdefault((provider, pattern), {}).update(verbs)
        self.names_items = any(names_item(pattern) for _, pattern in self.verbs)

    def __len__(self) -> int:
        return sum(map(len, self.verbs.values()))

    def lines(self) -> Iterator[tuple[str, str, str]]:
        for (provider, pattern), verbs in self.verbs.items():
            for verb in verbs:
                yield provider, pattern, verb


class Grant(msgspec.Struct, frozen=True):
    """A role, where somebody is given it, and what says so."""

    role: Role
    tenant: str
    scopes: Sequence[Json]
    """A missing dimension, or an empty one, is all of it."""
    said_by: str

    def fitting(self, asked: AccessRequest) -> Iterator[Rule]:
        """Its rules that can allow what is asked."""
        lines = [
            (asked.provider, pattern, verb)
            for pattern in covering(asked.flat, asked.nested)
            for verb in self.role.verbs.get((asked.provider, pattern), ())
            if named(asked.verb, verb)
        ]
        places = self._places(asked) if lines else ()
        for line in lines:
            for place in places:
                yield Rule(*line, *place, self.said_by)

    def _places(self, asked: AccessRequest) -> set[tuple[str, str, str]]:
        if not named(asked.tenant, self.tenant):
            return set()
        return {
            (self.tenant, region, workspace)
            for scope in narrowed(self.scopes, asked.region, asked.workspace)
            for region in scope["regions"]
            for workspace in scope["workspaces"]
        }

    def includes(self, given: Rule) -> bool:
        """Whether it allows all that a rule allows."""
        if self.tenant not in (EVERY, given.tenant):
            return False
        if not any(
            not {EVERY, given.region}.isdisjoint(some(scope, "regions"))
            and not {EVERY, given.workspace}.isdisjoint(some(scope, "workspaces"))
            for scope in self.scopes
        ):
            return False
        wanted = {EVERY, given.verb, given.verb.partition(".")[0]}
        return any(
            not wanted.isdisjoint(self.role.verbs.get((given.provider, pattern), ()))
            for pattern in including(given.resource)
        )

    def rules(self) -> Iterator[Rule]:
        """All it allows, multiplied out: as many as somebody wants to read."""
        for scope in self.scopes:
            for region in some(scope, "regions"):
                for workspace in some(scope, "workspaces"):
                    for line in self.role.lines():
                        yield Rule(*line, self.tenant, region, workspace, self.said_by)

    def __len__(self) -> int:
        """How many rules that would be."""
        places = sum(
            len(some(scope, "regions")) * len(some(scope, "workspaces")) for scope in self.scopes
        )
        return places * len(self.role)


def some(scope: Json, dimension: str) -> Sequence[str]:
    return scope.get(dimension) or (EVERY,)


def narrowed(scopes: Sequence[Json], region: str, workspace: str) -> list[Json]:
    """What of some scopes can matter in one place: never much, however many there are."""
    found: dict[tuple[tuple[str, ...], ...], Json] = {}
    for scope in scopes:
        regions = tuple(r for r in {EVERY: 0, region: 0} if r in some(scope, "regions"))
        workspaces = tuple(w for w in {EVERY: 0, workspace: 0} if w in some(scope, "workspaces"))
        if regions and workspaces:
            found[regions, workspaces] = {"regions": regions, "workspaces": workspaces}
    return list(found.values())


def lies_in(scope: Json, tenant: str) -> bool:
    """Whether a scope covers anything in the tenant of its assignment. An assignment gives away
    only what lies there, whatever tenants it names: otherwise every administrator could become
    everybody's."""
    named_there = scope.get("tenants") or (tenant,)
    return tenant in named_there or EVERY in named_there


def assignment_scopes(tenant: str, spec: Json) -> list[Json]:
    """Those in which it gives anything away."""
    return [scope for scope in spec["scopes"] if lies_in(scope, tenant)]


def assignment_grants(
    tenant: str, name: str, spec: Json, roles: Mapping[str, Role], scopes: Sequence[Json]
) -> Iterator[Grant]:
    """What one assignment of a tenant gives each of its subs in some of its scopes; `roles` are the
    tenant's own, by name, and one that is not there gives nothing."""
    for role in dict.fromkeys(spec["roles"]) if scopes else ():
        found = SYSTEM.get(role) or roles.get(role)
        if found is not None:
            yield Grant(found, tenant, scopes, f"{name}/{role}")


def catalogue_grant(tenant: str, name: str) -> Grant:
    """What whoever an assignment names may read in its tenant."""
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
"""What any authenticated caller may: read the regions."""
OPERATOR = Grant(
    _role(
        [
            (ADMIN_PROVIDER, "tenants/*", (*READ, "put")),
            (ADMIN_PROVIDER, "revocations/*", (*READ, "put", "delete")),
        ]
    ),
    EVERY,
    _ANYWHERE,
    "configuration",
)
"""What the callers whom the configuration names may: make tenants, and revoke tokens."""
