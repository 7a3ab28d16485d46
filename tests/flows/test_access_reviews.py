"""Why may somebody do something, why not, and who may: asked over HTTP."""

import msgspec
import pytest

from secaplane.model.position import parse
from secaplane.model.shape import Json
from tests.flows.client import JSON, Answer, Client, at
from tests.flows.dev_house import DevHouse, Said
from tests.flows.problems import refused

MALLORY = "mallory@example.org"


@pytest.fixture
def jane(workspace: str) -> str:
    """Somebody whom no other test knows."""
    return f"jane-{workspace}"


@pytest.fixture
async def given(client: Client, workspace: str, jane: str) -> str:
    """The name of the assignment that lets Jane edit what is in the workspace."""
    name = f"{workspace}-editors"
    spec = {
        "subs": [jane],
        "roles": ["seca.workspace-editor"],
        "scopes": [{"workspaces": [workspace]}],
    }
    assert (await client.put(at("role-assignment", name), {"spec": spec})).status == 201
    return name


def disk(workspace: str) -> str:
    return at("block-storage", "disk", workspace=workspace)


async def review(client: Client, *, tenant: str = "demo", **spec: str) -> Answer:
    return await sent(client, {"spec": spec}, tenant=tenant)


async def sent(client: Client, body: object, *, tenant: str = "demo") -> Answer:
    path = f"{at('tenant', tenant)}/access-reviews"
    data = msgspec.json.encode(body)
    return await client.ask("POST", path, headers={"Content-Type": JSON}, data=data)


async def status(client: Client, **spec: str) -> Json:
    answer = await review(client, **spec)
    assert (answer.status, answer.headers["Content-Type"]) == (200, JSON), answer
    assert answer.json["spec"] == spec
    found: Json = answer.json["status"]
    return found


# --- one caller


async def test_what_is_allowed_is_allowed_by_something(
    client: Client, house: DevHouse, workspace: str, jane: str, given: str
) -> None:
    said = await status(client, caller=jane, verb="put", path=disk(workspace))
    revision = parse(said.pop("policyRevision"))
    assert said == {
        "allowed": True,
        "by": {
            "assignment": given,
            "role": "seca.workspace-editor",
            "provider": "seca.storage",
            "resource": "block-storages/*",
            "verb": "put",
            "tenant": "demo",
            "region": "*",
            "workspace": workspace,
        },
    }
    themselves = client.by(house.token(jane))
    own = await status(themselves, caller=jane, verb="put", path=disk(workspace))
    assert parse(own.pop("policyRevision")) >= revision
    assert own == said
    other = at("role-assignment", f"{workspace}-more")
    spec = {"subs": ["x"], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
    made = await client.put(other, {"spec": spec})
    later = await status(client, caller=jane, verb="put", path=disk(workspace))
    recorded = parse(made.headers["Secaplane-Position"])
    assert parse(later["policyRevision"]) >= recorded > revision


async def test_what_is_refused_is_refused_for_what_comes_nearest(
    client: Client, workspace: str, jane: str, given: str
) -> None:
    said = await status(client, caller=jane, verb="delete", path=disk(workspace))
    assert said["allowed"] is False
    assert said["reason"] == "the nearest permission does not match in: verb"
    assert {each["assignment"] for each in said["nearest"]} == {given}
    assert {each["resource"] for each in said["nearest"]} == {"block-storages/*"}
    assert [each["fails"] for each in said["nearest"]] == [["verb"]] * len(said["nearest"])
    elsewhere = await status(client, caller=jane, verb="put", path=disk("elsewhere"))
    assert [(each["workspace"], each["fails"]) for each in elsewhere["nearest"]] == [
        (workspace, ["workspace"])
    ]
    nobody = await status(client, caller=MALLORY, verb="get", path=disk(workspace))
    assert (nobody["allowed"], nobody["nearest"]) == (False, [])
    assert nobody["reason"] == "no assignment in the tenant names this caller"


async def test_what_a_review_says_is_what_happens(
    client: Client, house: DevHouse, workspace: str, jane: str, given: str
) -> None:
    await client.put(at("workspace", workspace), {})
    themselves = client.by(house.token(jane))
    paths = {
        "list": at("block-storage", workspace=workspace),
        "get": disk(workspace),
        "delete": disk(workspace),
        "post.start": f"{at('instance', 'one', workspace=workspace)}/start",
    }
    for verb, path in paths.items():
        said = await status(client, caller=jane, verb=verb, path=path)
        method = "POST" if verb.startswith("post") else verb.upper().replace("LIST", "GET")
        answer = await themselves.ask(method, path)
        assert (answer.status != 403) is said["allowed"], (verb, answer)


# --- who may


async def test_it_is_told_who_may(client: Client, workspace: str, jane: str, given: str) -> None:
    may_put = (await status(client, verb="put", path=disk(workspace)))["callers"]
    assert jane in may_put
    assert "admin@example.org" in may_put
    may_delete = (await status(client, verb="delete", path=disk(workspace)))["callers"]
    assert jane not in may_delete
    assert "admin@example.org" in may_delete
    assert jane not in (await status(client, verb="put", path=disk("elsewhere")))["callers"]
    said = await status(client, verb="list", path=at("region"))
    assert said == {"policyRevision": said["policyRevision"], "callers": ["*"]}


# --- who may ask


async def test_nobody_asks_about_another_tenant(
    client: Client, said: Said, workspace: str, jane: str
) -> None:
    operator, foreign = client.by(said.operator_token), f"t-{workspace}"
    await operator.put(at("tenant", foreign), {"spec": {"administrators": [jane]}})
    theirs = at("workspace", "first", tenant=foreign)
    for tenant in (foreign, "absent"):
        for caller in ({"caller": jane}, {"caller": "admin@example.org"}, {}):
            answer = await review(client, tenant=tenant, verb="get", path=theirs, **caller)
            assert refused(answer, 403) == []
    for path in (theirs, at("tenant", foreign), at("tenant", "demo"), at("revocation", "x")):
        answer = await review(client, caller=jane, verb="get", path=path)
        assert refused(answer, 422) == [("/spec/path", "")]


async def test_who_may_not_see_assignments_asks_about_nobody_else(
    client: Client, house: DevHouse, said: Said, workspace: str, jane: str, given: str
) -> None:
    themselves, path = client.by(house.token(jane)), disk(workspace)
    for caller in ({"caller": "admin@example.org"}, {}):
        answer = await review(themselves, verb="get", path=path, **caller)
        assert refused(answer, 403) == []
    operator = client.by(said.operator_token)
    assert refused(await review(operator, caller=jane, verb="get", path=path), 403) == []
    anonymous = await review(client.by(None), caller=jane, verb="get", path=path)
    assert refused(anonymous, 401) == []


async def test_a_stranger_learns_not_even_whether_there_is_a_tenant(
    client: Client, house: DevHouse
) -> None:
    stranger, said = client.by(house.token(MALLORY)), set()
    for tenant in ("demo", "absent"):
        path = at("workspace", "x", tenant=tenant)
        answer = await review(stranger, tenant=tenant, caller=MALLORY, verb="get", path=path)
        assert refused(answer, 403) == []
        said.add(answer.json["detail"])
    assert len(said) == 1


# --- nonsense


@pytest.mark.parametrize(
    ("spec", "pointers"),
    [
        ({}, ["/spec/path", "/spec/verb"]),
        ({"verb": "put"}, ["/spec/path"]),
        ({"verb": "patch", "path": 7}, ["/spec/path", "/spec/verb"]),
        ({"verb": "put", "path": "", "caller": ""}, ["/spec/caller", "/spec/path"]),
        ({"verb": "put", "path": "/x", "who": "jane"}, ["/spec/who"]),
        ({"verb": "put", "path": "/x"}, ["/spec/path"]),
        ({"verb": "put", "path": at("role")}, ["/spec/verb"]),
        ({"verb": "put", "path": at("instance-sku", "seca.dxs")}, ["/spec/verb"]),
        ({"verb": "post.explode", "path": at("instance", "x", workspace="w")}, ["/spec/verb"]),
    ],
)
async def test_nonsense_is_refused_with_its_place(
    client: Client, spec: Json, pointers: list[str]
) -> None:
    answer = await sent(client, {"spec": spec})
    assert sorted(refused(answer, 422)) == [(pointer, "") for pointer in pointers]


@pytest.mark.parametrize("body", [[], "x", 7, None])
async def test_a_body_is_an_object(client: Client, body: object) -> None:
    assert refused(await sent(client, body), 400) == []
    assert refused(await sent(client, {}), 422) == [("/spec", "")]


async def test_a_review_is_asked_for_with_post_and_leaves_nothing(client: Client) -> None:
    path = f"{at('tenant', 'demo')}/access-reviews"
    for method in ("GET", "PUT", "DELETE"):
        answer = await client.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    untyped = await client.post(path)
    assert refused(untyped, 415) == [("", "Content-Type")]
