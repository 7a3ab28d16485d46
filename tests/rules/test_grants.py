"""Authorization: the decisions that follow from roles and assignments."""

import itertools
import random
from collections.abc import Iterable

import pytest

from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.errors import Forbidden, Unavailable
from secaplane.model.events import Created, Deleted, DeletionRequested
from secaplane.model.evolve import fold
from secaplane.model.shape import Json, Ref, Resource
from secaplane.policy.grants.policy import KEY_LENGTH_MAX, Policy
from secaplane.policy.tokens.caller import Caller
from tests.positions import nth
from tests.scenario import IDS, history

JANE, ADMIN, VIEWER = (Caller("iss", sub) for sub in ("jane", "admin", "viewer"))
OPERATOR, STRANGER = Caller("iss", "operator"), Caller("iss", "stranger")
PLACE = IDS | {"network": "net", "cluster": "c"}
VERBS = ("get", "list", "put", "delete", "post.start")


def role(name: str, *permissions: Json, tenant: str = "acme") -> Resource:
    return made(Ref("role", f"tenants/{tenant}/roles/{name}"), {"permissions": list(permissions)})


def permission(provider: str, resources: str, verbs: str = "get") -> Json:
    return {"provider": provider, "resources": resources.split(), "verb": verbs.split()}


def assignment(sub: str, roles: str, *scopes: Json, tenant: str = "acme") -> Resource:
    ref = Ref("role-assignment", f"tenants/{tenant}/role-assignments/{sub.strip('*')}-{roles}")
    spec = {"subs": [sub], "roles": roles.split(), "scopes": list(scopes) or [{}]}
    return made(ref, spec)


def made(ref: Ref, spec: Json) -> Resource:
    resource = fold(history(ref, Created(spec=spec)))
    assert resource is not None
    return resource


def policy(*resources: Resource, fresh: bool = True) -> Policy:
    known = Policy(operators=["operator"], region="eu-1", fresh=lambda: fresh)
    known.update(resources, nth(7))
    return known


def may(
    known: Policy, caller: Caller, verb: str, kind: str, name: str = "", **ids: str
) -> Actor | None:
    """The actor with the assignment that allows it; None if it is denied."""
    around = {each: (PLACE | ids)[each] for each in KINDS[kind].scope}
    try:
        return known.authorize(caller, verb, KINDS[kind], around, name)
    except Forbidden:
        return None


def verbs(known: Policy, caller: Caller, kind: str, **ids: str) -> list[str]:
    """The verbs that are allowed on a resource called `one`, and on its collection."""
    names = {verb: "" if verb == "list" else "one" for verb in VERBS}
    return [verb for verb, name in names.items() if may(known, caller, verb, kind, name, **ids)]


# --- callers without assignments, stale policies, the cache


def test_a_caller_without_assignments_may_read_the_regions_and_nothing_else() -> None:
    known = policy(assignment("jane", "seca.admin"))
    allowed = {kind: verbs(known, STRANGER, kind) for kind in KINDS}
    assert allowed == {kind: ["get", "list"] if kind == "region" else [] for kind in KINDS}


def test_a_refusal_does_not_reveal_what_exists() -> None:
    known = policy(assignment("jane", "seca.admin"))
    said = set()
    for tenant, name in itertools.product(("acme", "none-such"), ("one", "none-such")):
        with pytest.raises(Forbidden) as raised:
            known.authorize(STRANGER, "get", KINDS["instance"], IDS | {"tenant": tenant}, name)
        said.add((raised.value.detail, raised.value.sources))
    assert len(said) == 1


def test_a_stale_policy_is_unavailable() -> None:
    stale = policy(assignment("jane", "seca.admin"), fresh=False)
    for verb in VERBS:
        with pytest.raises(Unavailable):
            stale.authorize(JANE, verb, KINDS["instance"], IDS, "one")


def test_a_reset_forgets_all_resources() -> None:
    known = policy(assignment("jane", "seca.admin"))
    assert verbs(known, JANE, "instance")
    known.reset(nth(9))
    assert verbs(known, JANE, "instance") == []
    known.update([assignment("admin", "seca.admin")], nth(9))
    assert verbs(known, ADMIN, "instance")
    assert verbs(known, JANE, "instance") == []


def test_decisions_of_callers_without_grants_and_of_overlong_names_are_not_cached() -> None:
    known = policy(assignment("jane", "seca.admin"))
    for n in range(50):
        assert may(known, STRANGER, "get", "instance", "one", tenant=f"t{n}") is None
        assert may(known, JANE, "get", "instance", "one", workspace=f"w{n}" * 300) is not None
    kept = known._cached.values()
    assert sum(len(each.decisions) for each in kept) == 0
    assert not any(key[1] == STRANGER.sub for key in known._cached)
    assert not any(len("".join((*key[:2], *key[3:]))) > 2 * KEY_LENGTH_MAX for key in known._cached)


# --- the system roles


def test_an_administrator_has_no_rights_in_another_tenant() -> None:
    known = policy(assignment("admin", "seca.admin"))
    for kind in KINDS.values():
        if "tenant" in kind.scope:
            assert verbs(known, ADMIN, kind.name, tenant="other") == []


def test_an_administrator_cannot_create_tenants() -> None:
    assert verbs(policy(assignment("admin", "seca.admin")), ADMIN, "tenant") == []


def test_a_viewer_may_read() -> None:
    known = policy(assignment("viewer", "seca.workspace-viewer"))
    for kind in ("instance", "subnet", "block-storage", "image", "instance-sku", "storage-sku"):
        assert verbs(known, VIEWER, kind) == ["get", "list"]
    for kind in ("role", "role-assignment", "tenant", "workspace"):
        assert verbs(known, VIEWER, kind) == []


def test_an_editor_may_change_but_not_delete() -> None:
    known = policy(assignment("jane", "seca.workspace-editor"))
    assert verbs(known, JANE, "instance") == ["get", "list", "put", "post.start"]


def test_a_workspace_administrator_may_not_delete_the_workspace() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    assert verbs(known, JANE, "instance") == list(VERBS)
    own = [verb for verb in ("get", "put", "delete") if may(known, JANE, verb, "workspace", "web")]
    assert own == ["get", "put"]


def test_the_administrators_role_covers_every_kind_of_every_provider_served() -> None:
    known = policy(assignment("admin", "seca.admin"))
    for kind in KINDS.values():
        if kind.provider.name.startswith("seca.") and "tenant" in kind.scope:
            assert verbs(known, ADMIN, kind.name) == list(VERBS)


# --- operators


def test_an_operator_may_create_tenants_and_revoke_tokens_and_nothing_more() -> None:
    allowed = {kind: verbs(policy(), OPERATOR, kind) for kind in KINDS}
    own = {
        "tenant": ["get", "list", "put"],
        "revocation": ["get", "list", "put", "delete"],
        "region": ["get", "list"],
    }
    assert allowed == {kind: own.get(kind, []) for kind in KINDS}


# --- scopes


def test_a_workspace_scope_covers_the_workspace_and_its_contents() -> None:
    known = policy(assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]}))
    assert may(known, JANE, "get", "workspace", "web")
    assert not may(known, JANE, "get", "workspace", "other")
    assert not may(known, JANE, "list", "workspace")
    assert verbs(known, JANE, "instance") == list(VERBS)
    assert verbs(known, JANE, "instance", workspace="other") == []


def test_a_region_scope_covers_that_region() -> None:
    here = policy(assignment("jane", "seca.admin", {"regions": ["eu-1", "eu-2"]}))
    elsewhere = policy(assignment("jane", "seca.admin", {"regions": ["eu-2"]}))
    assert verbs(here, JANE, "instance") == list(VERBS)
    assert verbs(elsewhere, JANE, "instance") == []


def test_the_dimensions_of_two_scopes_are_not_combined() -> None:
    scopes: list[Json] = [
        {"regions": ["eu-2"], "workspaces": ["web"]},
        {"regions": ["eu-1"], "workspaces": ["other"]},
    ]
    known = policy(assignment("jane", "seca.workspace-viewer", *scopes))
    assert verbs(known, JANE, "instance") == []
    assert verbs(known, JANE, "instance", workspace="other") == ["get", "list"]


def test_every_holder_of_an_assignment_may_read_the_tenants_catalogue() -> None:
    reads_one = role("r", permission("seca.storage", "block-storages/d"))
    known = policy(reads_one, assignment("jane", "r"))
    for kind in ("instance-sku", "storage-sku"):
        assert verbs(known, JANE, kind) == ["get", "list"]
        assert verbs(known, JANE, kind, tenant="other") == []


# --- verbs, providers, patterns


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ("get", ["get"]),
        ("GET list", ["get", "list"]),
        ("post", ["post.start", "post.stop"]),
        ("post.start", ["post.start"]),
        ("POST.Stop", ["post.stop"]),
        ("*", ["get", "list", "put", "delete", "post.start", "post.stop"]),
    ],
)
def test_a_verb_is_compared_without_case_and_post_is_every_action(
    said: str, allowed: list[str]
) -> None:
    known = policy(role("r", permission("seca.compute", "*", said)), assignment("jane", "r"))
    asked = [*VERBS, "post.stop"]
    names = ["" if verb == "list" else "one" for verb in asked]
    found = [v for v, n in zip(asked, names, strict=True) if may(known, JANE, v, "instance", n)]
    assert found == allowed


@pytest.mark.parametrize("provider", ["seca.compute", "seca.compute/v1"])
def test_a_provider_is_compared_without_version(provider: str) -> None:
    known = policy(role("r", permission(provider, "*")), assignment("jane", "r"))
    assert verbs(known, JANE, "instance") == ["get"]
    assert verbs(known, JANE, "block-storage") == []


@pytest.mark.parametrize(
    ("pattern", "items", "listed"),
    [
        ("*", ["one", "two"], True),
        ("instances/*", ["one", "two"], True),
        ("instances/one", ["one"], False),
        ("instances/one instances/two", ["one", "two"], False),
        ("instances/one/*", ["one"], False),
        ("instances", [], True),
        ("instance/*", [], False),
        ("instances*", [], False),
        ("instances/o*", [], False),
        ("block-storages/*", [], False),
        ("*/one", [], False),
        ("", [], False),
    ],
)
def test_a_pattern_covers_a_collection_or_an_item(
    pattern: str, items: list[str], listed: bool
) -> None:
    grants = (role("r", permission("seca.compute", pattern, "get list")), assignment("jane", "r"))
    for order in itertools.permutations(["one", "two", ""]):
        known = policy(*grants)
        asked = [("get" if name else "list", name) for name in order]
        covered = {name for verb, name in asked if may(known, JANE, verb, "instance", name)}
        assert covered == {*items, *([""] if listed else [])}


# --- subs


def test_a_star_as_sub_is_every_authenticated_caller() -> None:
    known = policy(assignment("*", "seca.workspace-viewer"))
    assert verbs(known, STRANGER, "instance") == ["get", "list"]
    assert verbs(known, STRANGER, "instance", tenant="other") == []


def test_a_tenants_role_grants_nothing_in_another_tenant() -> None:
    known = policy(
        role("r", permission("seca.compute", "*")), assignment("jane", "r", tenant="other")
    )
    assert verbs(known, JANE, "instance", tenant="other") == []
    assert verbs(known, JANE, "instance") == []


def test_a_tenants_role_cannot_replace_a_system_role() -> None:
    known = policy(
        role("seca.workspace-viewer", permission("seca.compute", "*", "*")),
        assignment("jane", "seca.workspace-viewer"),
    )
    assert verbs(known, JANE, "instance") == ["get", "list"]


def test_a_decision_names_the_assignment_and_role_that_allow_it() -> None:
    known = policy(assignment("jane", "seca.admin"))
    assert may(known, JANE, "put", "instance", "one") == Actor(
        issuer="iss", sub="jane", assignment="jane-seca.admin/seca.admin", policy=nth(7)
    )
    assert may(known, OPERATOR, "put", "tenant", "acme") == Actor(
        issuer="iss", sub="operator", assignment="configuration", policy=nth(7)
    )


# --- updates


def test_an_update_invalidates_cached_decisions() -> None:
    known, granted = policy(), assignment("jane", "seca.workspace-viewer")
    assert verbs(known, JANE, "instance") == []
    known.update([granted], nth(8))
    assert verbs(known, JANE, "instance") == ["get", "list"]
    known.update([terminating(granted)], nth(9))
    assert verbs(known, JANE, "instance") == []
    known.update([granted], nth(10))
    assert verbs(known, JANE, "instance") == ["get", "list"]
    known.update([terminating(granted, gone=True)], nth(11))
    assert verbs(known, JANE, "instance") == []
    assert known.revision == nth(11)


def test_a_changed_or_deleted_role_changes_its_grants() -> None:
    reads = role("r", permission("seca.compute", "*"))
    known = policy(reads, assignment("jane", "r"))
    assert verbs(known, JANE, "instance") == ["get"]
    known.update([role("r", permission("seca.storage", "*"))], nth(8))
    assert verbs(known, JANE, "instance") == []
    assert verbs(known, JANE, "block-storage") == ["get"]
    known.update([terminating(reads)], nth(9))
    assert verbs(known, JANE, "block-storage") == []


def test_an_assignment_with_other_subs_grants_nothing_to_the_former_ones() -> None:
    known = policy(assignment("jane", "seca.admin"))
    ref = assignment("jane", "seca.admin").ref
    known.update([made(ref, {"subs": ["viewer"], "roles": ["seca.admin"], "scopes": [{}]})], nth(8))
    assert verbs(known, JANE, "instance") == []
    assert verbs(known, VIEWER, "instance") == list(VERBS)


def test_a_revision_never_goes_back() -> None:
    """A late or repeated update of an older revision replaces no newer knowledge."""
    granted = assignment("jane", "seca.workspace-viewer")
    known = policy(granted)
    known.update([terminating(granted)], nth(9))
    for late in (nth(7), nth(8)):
        known.update([granted], late)
        known.update([], late, undecodable=[assignment("admin", "seca.admin").ref])
    assert verbs(known, JANE, "instance") == []
    assert known.revision == nth(9)
    assert known.index.revision("acme") == nth(9)
    known.update([granted], nth(10))
    assert verbs(known, JANE, "instance") == ["get", "list"]


def terminating(resource: Resource, *, gone: bool = False) -> Resource:
    end = [Deleted()] if gone else []
    found = fold(history(resource.ref, Created(spec=resource.spec), DeletionRequested(), *end))
    assert found is not None
    return found


# --- cached decisions


@pytest.mark.parametrize("seed", range(6))
def test_a_cached_decision_equals_a_new_one(seed: int) -> None:
    luck = random.Random(seed)
    grants = list(some_grants(luck))
    caching = policy(*grants)
    for _ in range(100):
        caller = luck.choice([JANE, ADMIN, STRANGER, OPERATOR])
        kind = luck.choice(list(KINDS))
        verb = luck.choice(VERBS)
        name = "" if verb == "list" else luck.choice(["one", "two", "web", "acme"])
        ids = {"tenant": luck.choice(["acme", "other"]), "workspace": luck.choice(["web", "two"])}
        cached = may(caching, caller, verb, kind, name, **ids)
        assert cached == may(policy(*grants), caller, verb, kind, name, **ids)


def some_grants(luck: random.Random) -> Iterable[Resource]:
    patterns = ["*", "instances/*", "instances/one", "workspaces/*", "skus/one", "instances/two/*"]
    patterns += ["block-storages/*", "workspaces/web", "roles/one", "roles/*"]
    providers = sorted({kind.provider.name for kind in KINDS.values()})
    for n, tenant in enumerate(["acme", "other", "acme"]):
        some = [(luck.choice(providers), " ".join(luck.sample(patterns, 2))) for _ in range(3)]
        allowed = [permission(*each, "get list put post") for each in some]
        yield role(f"r{n}", *allowed, tenant=tenant)
        for sub in luck.sample(["jane", "admin", "*"], 2):
            held = luck.choice([f"r{n}", "seca.workspace-viewer"])
            scope: Json = luck.choice([{}, {"workspaces": ["web"]}, {"regions": ["eu-1"]}])
            yield assignment(sub, held, scope, tenant=tenant)
