"""Permissions of administrator, viewer, stranger, foreigner and operator, over HTTP."""

import pytest

from secaplane.model.shape import Json
from tests.flows.client import INSTANCE, VOLUME, Client, at
from tests.flows.dev_plane import DevProcess
from tests.flows.problems import refused

VIEWER, STRANGER = "viewer@example.org", "stranger@example.org"
ACTIONS = ("start", "stop", "restart")


@pytest.fixture
def viewer(client: Client, plane: DevProcess, workspace: str) -> Client:
    """A caller without permissions until an assignment names it; another one in every test."""
    return client.by(plane.token(f"{workspace}-{VIEWER}"))


@pytest.fixture
def stranger(client: Client, plane: DevProcess) -> Client:
    return client.by(plane.token(STRANGER))


@pytest.fixture
async def furnished(client: Client, workspace: str) -> str:
    """A workspace with a volume and an instance, and a second workspace with a volume."""
    await client.put(at("workspace", workspace), {})
    await client.put(at("workspace", f"{workspace}-second"), {})
    for place in (workspace, f"{workspace}-second"):
        await client.put(at("block-storage", "disk", workspace=place), VOLUME)
    await client.put(at("instance", "one", workspace=workspace), INSTANCE)
    return workspace


def assignment(sub: str, role: str, **scope: list[str]) -> Json:
    return {"spec": {"subs": [sub], "roles": [role], "scopes": [scope]}}


def of_viewer(workspace: str, role: str = "seca.workspace-viewer", **scope: list[str]) -> Json:
    return assignment(f"{workspace}-{VIEWER}", role, **scope)


async def statuses(caller: Client, *paths: str) -> list[int]:
    return [(await caller.get(path)).status for path in paths]


# --- a viewer of one workspace


async def test_a_viewer_of_a_workspace_reads_its_resources_and_no_others(
    client: Client, viewer: Client, furnished: str
) -> None:
    path = at("role-assignment", f"{furnished}-viewers")
    assert (await viewer.get(at("workspace", furnished))).status == 403
    await client.put(path, of_viewer(furnished, workspaces=[furnished]))
    seen = (
        at("block-storage", workspace=furnished),
        at("block-storage", "disk", workspace=furnished),
        at("instance", workspace=furnished),
        at("instance", "one", workspace=furnished),
        at("storage-sku"),
        at("instance-sku", "seca.dxs"),
        at("region"),
    )
    assert await statuses(viewer, *seen) == [200] * len(seen)
    hidden = (
        at("workspace"),
        at("workspace", furnished),
        at("workspace", f"{furnished}-second"),
        at("workspace", "absent"),
        at("block-storage", "disk", workspace=f"{furnished}-second"),
        at("role"),
        at("role-assignment", f"{furnished}-viewers"),
        at("tenant", "demo"),
        at("storage-sku", tenant="foreign"),
    )
    for each in hidden:
        assert refused(await viewer.get(each), 403) == []
    absent = await viewer.get(at("block-storage", "absent", workspace=furnished))
    assert refused(absent, 404) == []


async def test_a_viewer_cannot_write(client: Client, viewer: Client, furnished: str) -> None:
    path = at("role-assignment", f"{furnished}-viewers")
    await client.put(path, of_viewer(furnished, workspaces=[furnished]))
    disk = at("block-storage", "disk", workspace=furnished)
    before = await client.active(disk)
    one = at("instance", "one", workspace=furnished)
    for answer in (
        await viewer.put(disk, VOLUME),
        await viewer.put(at("block-storage", "more", workspace=furnished), VOLUME),
        await viewer.put(at("workspace", furnished), {}),
        await viewer.put(path, of_viewer(furnished, role="seca.admin")),
        await viewer.delete(disk),
        await viewer.delete(at("block-storage", "absent", workspace=furnished)),
        await viewer.delete(at("workspace", furnished)),
        *[await viewer.post(f"{one}/{action}") for action in ACTIONS],
    ):
        assert refused(answer, 403) == []
    assert (await client.get(disk)).json == before.json


async def test_a_deleted_assignment_is_ineffective_at_once(
    client: Client, viewer: Client, furnished: str
) -> None:
    path, disk = (
        at("role-assignment", f"{furnished}-editors"),
        at("block-storage", "disk", workspace=furnished),
    )
    for _ in range(5):
        given = await client.put(path, of_viewer(furnished, role="seca.workspace-editor"))
        assert given.status == 201
        assert (await viewer.put(disk, VOLUME)).status == 200
        assert (await viewer.get(disk)).status == 200
        assert (await client.delete(path)).status == 202
        assert refused(await viewer.put(disk, VOLUME), 403) == []
        assert refused(await viewer.get(disk), 403) == []
        await client.gone(path)


async def test_a_narrowed_assignment_takes_effect_at_once(
    client: Client, viewer: Client, furnished: str
) -> None:
    path = at("role-assignment", f"{furnished}-narrowed")
    own_volumes = at("block-storage", workspace=furnished)
    other_volumes = at("block-storage", workspace=f"{furnished}-second")
    role = "seca.workspace-admin"
    await client.put(path, of_viewer(furnished, role))
    assert await statuses(viewer, own_volumes, other_volumes, at("workspace")) == [200, 200, 200]
    await client.put(path, of_viewer(furnished, role, workspaces=[f"{furnished}-second"]))
    assert await statuses(viewer, own_volumes, other_volumes, at("workspace")) == [403, 200, 200]
    shown = (await viewer.get(at("workspace"))).json["items"]
    assert [each["metadata"]["name"] for each in shown] == [f"{furnished}-second"]
    await client.put(path, of_viewer(furnished, role, workspaces=["nowhere"]))
    assert await statuses(viewer, own_volumes, other_volumes, at("workspace")) == [403, 403, 200]
    assert (await viewer.get(at("workspace"))).json["items"] == []  # by grants, not by what exists


async def test_a_custom_role_allows_exactly_its_permissions(
    client: Client, viewer: Client, furnished: str
) -> None:
    role, one = at("role", f"{furnished}-switcher"), at("instance", "one", workspace=furnished)
    permission = {
        "provider": "seca.compute",
        "resources": ["instances/*"],
        "verb": ["GET", "post.start"],
    }
    await client.put(role, {"spec": {"permissions": [permission]}})
    await client.put(
        at("role-assignment", f"{furnished}-switchers"),
        of_viewer(furnished, role=f"{furnished}-switcher"),
    )
    assert (await viewer.get(one)).status == 200
    assert (await viewer.post(f"{one}/start")).status == 202
    for answer in (
        await viewer.post(f"{one}/stop"),
        await viewer.get(at("instance", workspace=furnished)),
        await viewer.get(at("block-storage", "disk", workspace=furnished)),
        await viewer.delete(one),
    ):
        assert refused(answer, 403) == []
    await client.delete(role)
    assert refused(await viewer.get(one), 403) == []


# --- strangers and foreigners


async def test_a_stranger_gets_the_same_refusal_for_every_path(
    stranger: Client, furnished: str
) -> None:
    """Existing and missing resources and tenants cannot be distinguished."""
    paths = [
        at("workspace"),
        at("workspace", furnished),
        at("workspace", "absent"),
        at("block-storage", "disk", workspace=furnished),
        at("storage-sku"),
        at("storage-sku", "seca.rd500"),
        at("workspace", tenant="absent"),
        at("workspace", "x", tenant="absent"),
        at("tenant"),
        at("tenant", "demo"),
        at("tenant", "absent"),
    ]
    answers = [await stranger.get(path) for path in paths]
    answers += [await stranger.put(path, {}) for path in paths[1:3]]
    answers += [await stranger.delete(path) for path in paths[1:3]]
    details = set()
    for answer in answers:
        assert refused(answer, 403) == []
        details.add(answer.json["detail"])
    assert len(details) == 1
    assert (await stranger.get(at("region"))).status == 200


async def test_an_administrator_has_no_permission_in_other_tenants(
    client: Client, operator: Client, workspace: str
) -> None:
    foreign = f"t-{workspace}"
    await operator.put(at("tenant", foreign), {"spec": {"administrators": ["boss@example.org"]}})
    for answer in (
        await client.get(at("workspace", tenant=foreign)),
        await client.get(at("workspace", "x", tenant=foreign)),
        await client.put(at("workspace", "x", tenant=foreign), {}),
        await client.get(at("role-assignment", tenant=foreign)),
        await client.get(at("tenant", foreign)),
        await client.put(at("tenant", foreign), {"spec": {"administrators": ["admin"]}}),
        await client.get(at("tenant", "demo")),
    ):
        assert refused(answer, 403) == []
    path = at("role-assignment", f"grab-{workspace}")
    await client.put(path, assignment("admin@example.org", "seca.admin", tenants=[foreign]))
    assert refused(await client.get(at("workspace", tenant=foreign)), 403) == []
    await client.delete(path)


# --- operators


async def test_an_administrator_can_act_as_soon_as_its_tenant_is_created(
    client: Client, operator: Client, plane: DevProcess, workspace: str
) -> None:
    tenant, boss = f"t-{workspace}", client.by(plane.token(f"boss-{workspace}"))
    assert (await boss.get(at("workspace", tenant=tenant))).status == 403
    made = await operator.put(
        at("tenant", tenant), {"spec": {"administrators": [f"boss-{workspace}"]}}
    )
    assert made.status == 201
    assert (await boss.put(at("workspace", "first", tenant=tenant), {})).status == 201
    assert (await boss.get(at("role-assignment", tenant=tenant))).names == [
        "administrators",
        "first.creator",
    ]
    assert (await boss.get(at("storage-sku", tenant=tenant))).status == 200
    await operator.active(at("tenant", tenant))


async def test_an_operator_creates_tenants_but_cannot_read_their_contents(
    operator: Client, furnished: str
) -> None:
    assert "demo" in (await operator.get(at("tenant"))).names
    assert (await operator.get(at("tenant", "demo"))).status == 200
    for answer in (
        await operator.get(at("workspace")),
        await operator.get(at("workspace", furnished)),
        await operator.put(at("workspace", furnished), {}),
        await operator.get(at("role-assignment")),
        await operator.put(at("role-assignment", "mine"), assignment("operator", "seca.admin")),
    ):
        assert refused(answer, 403) == []


async def test_an_update_of_a_tenant_does_not_restore_a_removed_administrator(
    client: Client, operator: Client, plane: DevProcess, workspace: str
) -> None:
    """The operator's next PUT of the tenant does not undo a decision of its administrators."""
    tenant, body = f"t-{workspace}", {"spec": {"administrators": [f"boss-{workspace}"]}}
    boss = client.by(plane.token(f"boss-{workspace}"))
    await operator.put(at("tenant", tenant), body)
    administrators = at("role-assignment", "administrators", tenant=tenant)
    assert (await boss.delete(administrators)).status == 202
    assert refused(await boss.get(administrators), 403) == []
    assert (await operator.put(at("tenant", tenant), body)).status == 200
    await operator.active(at("tenant", tenant))
    assert refused(await boss.get(administrators), 403) == []
