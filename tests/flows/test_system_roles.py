"""System roles, which every tenant has from its creation: read like any other, never changed."""

import pytest

from secaplane.policy.grants.system_roles import SYSTEM_ROLES
from tests.flows.client import READS, Client, at
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.problems import refused

NAMES = sorted(SYSTEM_ROLES)


@pytest.fixture
async def boss(client: Client, plane: DevProcess, details: DevDetails, tenant: str) -> Client:
    """The administrator of a tenant of this test alone."""
    body = {"spec": {"administrators": [f"boss-{tenant}"]}}
    operator = client.by(details.operator_token)
    assert (await operator.put(at("tenant", tenant), body)).status == 201
    await operator.active(at("tenant", tenant))
    return client.by(plane.token(f"boss-{tenant}"))


async def test_a_system_role_is_shown_as_if_created_with_its_tenant(
    client: Client, boss: Client, details: DevDetails, tenant: str
) -> None:
    of_tenant = (await client.by(details.operator_token).get(at("tenant", tenant))).json
    since = of_tenant["metadata"]["createdAt"]
    own = at("role", "own", tenant=tenant)
    fields = set((await boss.put(own, {"spec": READS})).json["metadata"])
    for name, spec in SYSTEM_ROLES.items():
        found = await boss.get(at("role", name, tenant=tenant))
        assert (found.status, found.json["spec"]) == (200, spec)
        assert found.json["status"] == {
            "state": "active",
            "conditions": [{"state": "active", "lastTransitionAt": since}],
        }
        metadata = found.json["metadata"]
        assert set(metadata) == fields
        assert metadata == metadata | {
            "name": name,
            "tenant": tenant,
            "kind": "role",
            "verb": "GET",
            "resource": f"roles/{name}",
            "ref": f"seca.authorization/v1/tenants/{tenant}/roles/{name}",
            "resourceVersion": 1,
            "createdAt": since,
            "lastModifiedAt": since,
        }


async def test_system_roles_are_listed_in_order_on_every_page(boss: Client, tenant: str) -> None:
    roles = at("role", tenant=tenant)
    assert (await boss.get(roles)).names == NAMES
    for name in ("a", "seca", "z"):
        assert (await boss.put(f"{roles}/{name}", {"spec": READS})).status == 201
    expected = ["a", "seca", *NAMES, "z"]
    assert (await boss.get(roles)).names == expected
    for limit in range(1, len(expected) + 1):
        seen, url = list[str](), f"{roles}?limit={limit}"
        while url:
            page = await boss.get(url)
            assert len(page.names) <= limit
            seen += page.names
            token = page.json["metadata"].get("skipToken")
            url = f"{roles}?limit={limit}&skipToken={token}" if token else ""
        assert seen == expected


async def test_a_selector_matches_system_roles_as_having_no_labels(
    boss: Client, tenant: str
) -> None:
    roles = at("role", tenant=tenant)
    await boss.put(f"{roles}/z", {"spec": READS, "labels": {"env": "prod"}})
    assert (await boss.get(f"{roles}?labels=env=prod")).names == ["z"]
    assert (await boss.get(f"{roles}?labels=env!=prod")).names == NAMES
    assert (await boss.get(f"{roles}?labels=env!=test")).names == [*NAMES, "z"]
    assert (await boss.get(f"{roles}?labels=env!=test,env=*")).names == ["z"]
    assert (await boss.get(f"{roles}?labels=size>1")).names == []


async def test_system_roles_are_not_listed_as_deleted(boss: Client, tenant: str) -> None:
    roles = at("role", tenant=tenant)
    await boss.made(f"{roles}/z", {"spec": READS})
    await boss.delete(f"{roles}/z")
    await boss.gone(f"{roles}/z")
    only, both = (f"application/json; deleted={which}" for which in ("only", "true"))
    assert (await boss.get(roles)).names == NAMES
    assert (await boss.get(roles, Accept=only)).names == ["z"]
    assert (await boss.get(roles, Accept=both)).names == [*NAMES, "z"]


async def test_an_unchanged_system_role_is_answered_304(boss: Client, tenant: str) -> None:
    for path in (at("role", "seca.admin", tenant=tenant), at("role", tenant=tenant)):
        whole = await boss.get(path)
        again = await boss.get(path, If_None_Match=whole.headers["ETag"])
        assert (again.status, again.body) == (304, b"")
        head = await boss.head(path)
        assert (head.status, head.headers["ETag"]) == (200, whole.headers["ETag"])


@pytest.mark.parametrize("name", [*NAMES, "seca.of-our-own"])
async def test_a_role_in_the_system_namespace_cannot_be_written(
    boss: Client, tenant: str, name: str
) -> None:
    path = at("role", name, tenant=tenant)
    before = await boss.get(path)
    assert before.status == (200 if name in NAMES else 404)
    assert refused(await boss.put(path, {"spec": READS}), 409) == []
    if name in NAMES:
        shown = before.json
        assert refused(await boss.put(path, shown), 409) == []
        assert refused(await boss.delete(path), 409) == []
    assert (await boss.get(path)).body.startswith(before.body[:20])
    assert (await boss.get(at("role", tenant=tenant))).names == NAMES


async def test_a_stranger_sees_no_system_role(client: Client, plane: DevProcess) -> None:
    stranger = client.by(plane.token("stranger@example.org"))
    for tenant in ("demo", "absent"):
        for path in (at("role", tenant=tenant), at("role", "seca.admin", tenant=tenant)):
            assert refused(await stranger.get(path), 403) == []
