"""Random policies, and a plain casbin enforcer over all rules of each, which every decision is
compared with. A second implementation of the standard (SECA: authorization), as simple as possible:
no index, no cache, one row for every combination."""

import random
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import casbin

from secaplane.kinds import KINDS
from secaplane.model.events import Created
from secaplane.model.evolve import fold
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Json, Ref, Resource
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller
from tests.positions import nth
from tests.scenario import history

ROWS_MAX = 20
SOME = (0, 1, 1, 2, 2)
"""Items of a list that restricts a scope; an empty one grants nothing."""
REGION = "eu-1"
TENANTS, WORKSPACES, NAMES = ("acme", "other"), ("web", "two"), ("one", "two", "web", "acme")
SUBS = ("jane", "bob", "*", "group:g")
CALLERS = (
    *(Caller("iss", sub) for sub in ("jane", "bob", "stranger", "operator")),
    *(Caller("iss", sub, groups=("group:f", "group:g")) for sub in ("jane", "bob")),
)
VERBS = ("get", "list", "put", "delete", "post.start", "post.stop")
GIVEN_VERBS = (*VERBS, "post", "*", "GET")
PATTERNS = (
    *("*", "instances/*", "instances/one", "instances/two/*", "workspaces/*", "workspaces/web"),
    *("skus/*", "skus/one", "block-storages/*", "networks/*", "networks/one/*", "roles/one"),
    *("networks/net/subnets/*", "subnets/*", "subnets/one", "route-tables", "tenants/*"),
)
OFTEN = ("instance", "workspace", "block-storage", "network", "subnet", "instance-sku", "role")
PROVIDERS = tuple(sorted({kind.provider.name for kind in KINDS.values()}))
MODEL = """
[request_definition]
r = sub, provider, flat, nested, verb, tenant, region, workspace
[policy_definition]
p = sub, provider, resource, verb, tenant, region, workspace
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = same(r.sub, p.sub) && same(r.provider, p.provider) && lies(r.flat, r.nested, p.resource) \
&& does(r.verb, p.verb) && same(r.tenant, p.tenant) && same(r.region, p.region) \
&& same(r.workspace, p.workspace)
"""
Row = tuple[str, str, str, str, str, str, str]


class PolicyRequest(NamedTuple):
    caller: Caller
    verb: str
    kind: Kind
    ids: dict[str, str]
    name: str


def random_policy(luck: random.Random) -> list[Resource]:
    """Roles and assignments of two tenants with at most ROWS_MAX rows."""
    found: list[Resource] = []
    for n in range(luck.randint(2, 16)):
        tenant = luck.choice(TENANTS)
        if luck.random() < 0.4 or not found:
            path, spec = f"tenants/{tenant}/roles/r{luck.randint(0, 3)}", _role(luck)
            more = _made(Ref("role", path), spec)
        else:
            path = f"tenants/{tenant}/role-assignments/a{n}"
            more = _made(Ref("role-assignment", path), _assignment(luck))
        now = [each for each in found if each.ref != more.ref] + [more]
        if sum(1 for _ in _rows(now)) <= ROWS_MAX:
            found = now
    return found


def random_request(luck: random.Random) -> PolicyRequest:
    often = luck.random() < 0.7
    kind = KINDS[luck.choice(OFTEN)] if often else luck.choice(list(KINDS.values()))
    verb = luck.choice(VERBS)
    around = {"tenant": luck.choice(TENANTS), "workspace": luck.choice(WORKSPACES)}
    around |= {"network": luck.choice(("net", "one")), "cluster": "one"}
    ids = {each: around[each] for each in kind.scope}
    return PolicyRequest(
        luck.choice(CALLERS), verb, kind, ids, "" if verb == "list" else luck.choice(NAMES)
    )


def policy(resources: Sequence[Resource]) -> Policy:
    """The policy under test with these resources."""
    known = Policy(operators=["operator"], region=REGION, fresh=lambda: True)
    known.update(resources, nth(7))
    return known


class Plain:
    def __init__(self, resources: Sequence[Resource]) -> None:
        self._casbin = casbin.Enforcer(casbin.Enforcer.new_model(text=MODEL), enable_log=False)
        self._casbin.add_function("same", lambda requested, allowed: allowed in ("*", requested))
        self._casbin.add_function("does", _does)
        self._casbin.add_function("lies", _lies)
        rows = [*_rows(resources), *_built_in_rows(resources)]
        self._casbin.add_policies([list(row) for row in dict.fromkeys(rows)])

    def allows(self, request: PolicyRequest) -> bool:
        caller, verb, kind, ids, name = request
        inside = kind.url.format_map(ids).split("/")[4:]
        steps = [*inside, name] if name else inside
        own = {"tenant": "tenants", "workspace": "workspaces"}.get(kind.name)
        for each in ("tenants", "workspaces"):
            if steps[0] == each and own != each:
                steps = steps[2:]
        workspace = name if own == "workspaces" else ids.get("workspace", "")
        tenant = name if own == "tenants" else ids.get("tenant", "")
        flat = steps[-2:] if name else steps[-1:]
        asked = (kind.provider.name, "/".join(flat), "/".join(steps), verb)
        return any(
            self._casbin.enforce(sub, *asked, tenant, REGION, workspace)
            for sub in (caller.sub, *caller.groups)
        )


def _does(requested: str, allowed: str) -> bool:
    allowed = allowed.lower()
    every_action = allowed == "post" and requested.startswith("post.")
    return allowed in ("*", requested) or every_action


def _lies(flat: str, nested: str, pattern: str) -> bool:
    """`a/*` matches the collection and everything below it."""
    expression = ".*" if pattern == "*" else re.sub(r"/\\\*$", "(/.*)?", re.escape(pattern))
    return any(re.fullmatch(expression, path) for path in (flat, nested))


def _rows(resources: Sequence[Resource]) -> Iterator[Row]:
    """The rows of roles and assignments; each grants only in its own tenant."""
    specs = {each.ref.path: each.spec for each in resources}
    for each in resources:
        tenant = each.ref.path.split("/")[1]
        for sub in each.spec.get("subs", ()):
            for role in each.spec["roles"]:
                for scope in each.spec["scopes"]:
                    permissions = specs.get(f"tenants/{tenant}/roles/{role}", {})
                    yield from _granted(sub, permissions.get("permissions", ()), tenant, scope)


def _granted(sub: str, permissions: Sequence[Json], tenant: str, scope: Json) -> Iterator[Row]:
    if not {tenant, "*"} & set(scope.get("tenants", [tenant])):
        return
    for permission in permissions:
        provider = permission["provider"].split("/")[0]
        if provider == "secaplane.admin":
            continue
        for pattern in permission["resources"]:
            for verb in permission["verb"]:
                for region in scope.get("regions", ["*"]):
                    for workspace in scope.get("workspaces", ["*"]):
                        yield sub, provider, pattern, verb, tenant, region, workspace


def _built_in_rows(resources: Sequence[Resource]) -> Iterator[Row]:
    """Every caller may read the regions, every holder of an assignment its tenant's catalogue; an
    operator may create tenants and revoke tokens."""
    for verb in ("get", "list"):
        yield "*", "seca.region", "regions/*", verb, "*", "*", "*"
        yield "operator", "secaplane.admin", "tenants/*", verb, "*", "*", "*"
        yield "operator", "secaplane.admin", "revocations/*", verb, "*", "*", "*"
    for verb in ("put", "delete"):
        yield "operator", "secaplane.admin", "revocations/*", verb, "*", "*", "*"
    yield "operator", "secaplane.admin", "tenants/*", "put", "*", "*", "*"
    for each in resources:
        tenant = each.ref.path.split("/")[1]
        scopes = each.spec.get("scopes", ())
        covering = [scope for scope in scopes if [] not in scope.values()]
        if any({tenant, "*"} & set(scope.get("tenants", [tenant])) for scope in covering):
            for sub in each.spec["subs"]:
                for kind in KINDS.values():
                    if kind.backing is Backing.CATALOGUE and kind.scope:
                        for verb in ("get", "list"):
                            yield sub, kind.provider.name, "skus/*", verb, tenant, "*", "*"


def _role(luck: random.Random) -> Json:
    some = range(luck.randint(1, 2))
    providers = luck.choice((PROVIDERS, ("seca.compute",), ("seca.workspace", "seca.network")))
    return {
        "permissions": [
            {
                "provider": luck.choice(providers) + luck.choice(("", "/v1")),
                "resources": luck.sample(PATTERNS, luck.randint(1, 3)),
                "verb": luck.sample(GIVEN_VERBS, luck.randint(1, 3)),
            }
            for _ in some
        ]
    }


def _assignment(luck: random.Random) -> Json:
    scopes: list[Json] = []
    for _ in range(luck.randint(1, 2)):
        scope: Json = {}
        if luck.random() < 0.4:
            scope["tenants"] = luck.sample((*TENANTS, "*"), luck.randint(1, 2))
        if luck.random() < 0.4:
            scope["workspaces"] = luck.sample((*WORKSPACES, "*", "three"), luck.choice(SOME))
        if luck.random() < 0.3:
            scope["regions"] = luck.sample((REGION, "far", "*"), luck.choice(SOME))
        scopes.append(scope)
    return {
        "subs": luck.sample(SUBS, luck.randint(1, 3)),
        "roles": [f"r{n}" for n in luck.sample(range(4), luck.randint(1, 2))],
        "scopes": scopes,
    }


def _made(ref: Ref, spec: Json) -> Resource:
    resource = fold(history(ref, Created(spec=spec)))
    assert resource is not None
    return resource
