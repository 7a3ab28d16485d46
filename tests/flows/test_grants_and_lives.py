"""Grants end with the life of their workspace; lists are limited to what the caller may see; groups
hold what is assigned to them."""

from secaplane.model.shape import Json
from tests.flows.client import Client, at
from tests.flows.dev_plane import DevProcess
from tests.flows.problems import refused

VOLUME: Json = {"spec": {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd500"}}}


def assignment(subs: list[str], role: str, *scopes: Json) -> Json:
    return {"spec": {"subs": subs, "roles": [role], "scopes": list(scopes) or [{}]}}


async def test_rights_in_a_workspace_that_is_gone_are_no_rights_in_the_next_one(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    place, other = at("workspace", workspace), f"{workspace}-other"
    sub, viewer = f"former-{workspace}", "seca.workspace-viewer"
    volume = at("block-storage", "v", workspace=workspace)
    await client.made(place, {})
    alone, both = (at("role-assignment", f"{each}-{workspace}") for each in ("alone", "both"))
    scopes: list[Json] = [{"workspaces": [workspace]}, {"workspaces": [other, workspace]}]
    await client.made(alone, assignment([sub], viewer, scopes[0]))
    await client.made(both, assignment([sub], viewer, *scopes))
    former = client.by(plane.token(sub))
    assert (await former.get(at("block-storage", workspace=workspace))).status == 200
    await client.delete(place)
    await client.gone(place)
    assert (await client.active(both)).json["spec"]["scopes"] == [{"workspaces": [other]}]
    emptied = await client.active(alone)
    assert emptied.json["spec"]["scopes"] == []
    assert "grants nothing" in emptied.json["status"]["conditions"][0]["message"]
    await client.made(place, {})
    await client.made(volume, VOLUME)
    assert refused(await former.get(volume), 403) == []
    await client.put(alone, assignment([sub], viewer, scopes[0]))
    assert (await former.get(volume)).status == 200
    assert "message" not in (await client.active(alone)).json["status"]["conditions"][0]


async def test_a_list_shows_what_the_caller_may_see(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    """Page by page, and by label; what is absent makes no difference."""
    await client.made(at("workspace", workspace), {})
    for name in ("a", "b", "c"):
        path = at("block-storage", name, workspace=workspace)
        await client.made(path, VOLUME | {"labels": {"name": name}})
    name = f"named-{workspace}"
    named = [f"block-storages/{each}" for each in ("a", "absent", "c")]
    permission = {"provider": "seca.storage/v1", "resources": named, "verb": ["get"]}
    await client.made(at("role", name), {"spec": {"permissions": [permission]}})
    scope = {"workspaces": [workspace]}
    await client.made(at("role-assignment", name), assignment([name], name, scope))
    reader, volumes = client.by(plane.token(name)), at("block-storage", workspace=workspace)
    assert await names(reader, volumes) == ["a", "c"]
    first = await reader.get(f"{volumes}?limit=1")
    token = first.json["metadata"]["skipToken"]
    assert await names(reader, f"{volumes}?limit=1&skipToken={token}") == ["c"]
    assert await names(reader, f"{volumes}?labels=name=c") == ["c"]
    assert await names(reader, f"{volumes}?labels=name!=c") == ["a"]
    assert refused(await reader.get(at("instance", workspace=workspace)), 403) == []
    admin = f"admin-{workspace}"
    await client.put(
        at("role-assignment", admin), assignment([admin], "seca.workspace-admin", scope)
    )
    assert await names(client.by(plane.token(admin)), at("workspace")) == [workspace]


async def names(caller: Client, path: str) -> list[str]:
    answer = await caller.get(path)
    assert answer.status == 200, answer
    return [each["metadata"]["name"] for each in answer.json["items"]]


async def test_a_group_holds_what_is_assigned_to_it(
    client: Client, plane: DevProcess, workspace: str
) -> None:
    await client.made(at("workspace", workspace), {})
    group, volumes = f"team-{workspace}", at("block-storage", workspace=workspace)
    member, other = (client.by(plane.token("someone", each)) for each in (group, "others"))
    assert (await member.get(volumes)).status == 403
    given = assignment([f"group:{group}"], "seca.workspace-admin", {"workspaces": [workspace]})
    await client.put(at("role-assignment", group), given)
    assert (await member.get(volumes)).status == 200
    assert (await other.get(volumes)).status == 403
    assert (await member.put(at("block-storage", "v", workspace=workspace), VOLUME)).status == 201
