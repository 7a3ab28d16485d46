"""Access reviews over HTTP: why a caller may or may not do something, and which callers may."""

import msgspec
import pytest

from secaplane.model.position import parse
from secaplane.model.shape import Json
from tests.flows.client import JSON, Answer, Client, at
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.problems import refused

MALLORY = "mallory@example.org"


@pytest.fixture
def jane(workspace: str) -> str:
    """A caller that no other test uses."""
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
    body: Json = answer.json["status"]
    return body


# --- one caller


async def test_a_review_of_an_allowed_request_names_the_rule_that_allows_it(
    client: Client, plane: DevProcess, workspace: str, jane: str, given: str
) -> None:
    allowed = await status(client, caller=jane, verb="put", path=disk(workspace))
    revision = parse(allowed.pop("policyRevision"))
    assert allowed == {
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
    themselves = client.by(plane.token(jane))
    own = await status(themselves, caller=jane, verb="put", path=disk(workspace))
    assert parse(own.pop("policyRevision")) >= revision
    assert own == allowed
    other = at("role-assignment", f"{workspace}-more")
    spec = {"subs": ["x"], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
    made = await client.put(other, {"spec": spec})
    later = await status(client, caller=jane, verb="put", path=disk(workspace))
    recorded = parse(made.headers["Secaplane-Position"])
    assert parse(later["policyRevision"]) >= recorded > revision


async def test_a_review_of_a_refused_request_names_the_nearest_permissions(
    client: Client, workspace: str, jane: str, given: str
) -> None:
    denied = await status(client, caller=jane, verb="delete", path=disk(workspace))
    assert denied["allowed"] is False
    assert denied["reason"] == "the nearest permission does not match in: verb"
    assert {each["assignment"] for each in denied["nearest"]} == {given}
    assert {each["resource"] for each in denied["nearest"]} == {"block-storages/*"}
    assert [each["fails"] for each in denied["nearest"]] == [["verb"]] * len(denied["nearest"])
    elsewhere = await status(client, caller=jane, verb="put", path=disk("elsewhere"))
    assert [(each["workspace"], each["fails"]) for each in elsewhere["nearest"]] == [
        (workspace, ["workspace"])
    ]
    stranger = await status(client, caller=MALLORY, verb="get", path=disk(workspace))
    assert (stranger["allowed"], stranger["nearest"]) == (False, [])
    assert stranger["reason"] == "no assignment in the tenant names this caller"


async def test_a_review_agrees_with_the_answer_to_the_request(
    client: Client, plane: DevProcess, workspace: str, jane: str, given: str
) -> None:
    await client.put(at("workspace", workspace), {})
    themselves = client.by(plane.token(jane))
    paths = {
        "list": at("block-storage", workspace=workspace),
        "get": disk(workspace),
        "delete": disk(workspace),
        "post.start": f"{at('instance', 'one', workspace=workspace)}/start",
    }
    for verb, path in paths.items():
        reviewed = await status(client, caller=jane, verb=verb, path=path)
        method = "POST" if verb.startswith("post") else verb.upper().replace("LIST", "GET")
        answer = await themselves.ask(method, path)
        assert (answer.status != 403) is reviewed["allowed"], (verb, answer)


# --- callers who may


async def test_a_review_lists_the_callers_that_may(
    client: Client, workspace: str, jane: str, given: str
) -> None:
    may_put = (await status(client, verb="put", path=disk(workspace)))["callers"]
    assert jane in may_put
    assert "admin@example.org" in may_put
    may_delete = (await status(client, verb="delete", path=disk(workspace)))["callers"]
    assert jane not in may_delete
    assert "admin@example.org" in may_delete
    assert jane not in (await status(client, verb="put", path=disk("elsewhere")))["callers"]
    listed = await status(client, verb="list", path=at("region"))
    assert listed == {"policyRevision": listed["policyRevision"], "callers": ["*"]}


# --- callers who may request a review


async def test_a_review_of_another_tenant_is_refused(
    client: Client, details: DevDetails, workspace: str, jane: str
) -> None:
    operator, foreign = client.by(details.operator_token), f"t-{workspace}"
    await operator.put(at("tenant", foreign), {"spec": {"administrators": [jane]}})
    foreign_path = at("workspace", "first", tenant=foreign)
    for tenant in (foreign, "absent"):
        for caller in ({"caller": jane}, {"caller": "admin@example.org"}, {}):
            answer = await review(client, tenant=tenant, verb="get", path=foreign_path, **caller)
            assert refused(answer, 403) == []
    for path in (foreign_path, at("tenant", foreign), at("tenant", "demo"), at("revocation", "x")):
        answer = await review(client, caller=jane, verb="get", path=path)
        assert refused(answer, 422) == [("/spec/path", "")]


async def test_a_caller_without_read_access_to_assignments_reviews_only_itself(
    client: Client, plane: DevProcess, details: DevDetails, workspace: str, jane: str, given: str
) -> None:
    themselves, path = client.by(plane.token(jane)), disk(workspace)
    for caller in ({"caller": "admin@example.org"}, {}):
        answer = await review(themselves, verb="get", path=path, **caller)
        assert refused(answer, 403) == []
    operator = client.by(details.operator_token)
    assert refused(await review(operator, caller=jane, verb="get", path=path), 403) == []
    anonymous = await review(client.by(None), caller=jane, verb="get", path=path)
    assert refused(anonymous, 401) == []


async def test_a_stranger_cannot_learn_if_a_tenant_exists(
    client: Client, plane: DevProcess
) -> None:
    stranger, details = client.by(plane.token(MALLORY)), set()
    for tenant in ("demo", "absent"):
        path = at("workspace", "x", tenant=tenant)
        answer = await review(stranger, tenant=tenant, caller=MALLORY, verb="get", path=path)
        assert refused(answer, 403) == []
        details.add(answer.json["detail"])
    assert len(details) == 1


# --- malformed reviews


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
async def test_a_malformed_review_is_refused_with_pointers(
    client: Client, spec: Json, pointers: list[str]
) -> None:
    answer = await sent(client, {"spec": spec})
    assert sorted(refused(answer, 422)) == [(pointer, "") for pointer in pointers]


@pytest.mark.parametrize("body", [[], "x", 7, None])
async def test_a_review_body_that_is_no_object_is_refused(client: Client, body: object) -> None:
    assert refused(await sent(client, body), 400) == []
    assert refused(await sent(client, {}), 422) == [("/spec", "")]


async def test_a_review_takes_only_post_with_a_media_type(client: Client) -> None:
    path = f"{at('tenant', 'demo')}/access-reviews"
    for method in ("GET", "PUT", "DELETE"):
        answer = await client.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    untyped = await client.post(path)
    assert refused(untyped, 415) == [("", "Content-Type")]
