"""The walk of a user: create, wait, update, switch on and off, delete, create again."""

import re
from functools import partial
from typing import Any

import pytest

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.kinds import KINDS
from secaplane.model.events import ActionRequested, Created, Deleted
from secaplane.model.position import parse
from secaplane.model.shape import Json
from tests.flows.client import INSTANCE, SKU, VOLUME, Answer, Client, at, at_rest
from tests.flows.dev_plane import DevDetails

MADE = ["active", "creating", "pending"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
ROLE: Json = {
    "permissions": [{"provider": "seca.storage", "resources": ["*"], "verb": ["get", "list"]}]
}
ASSIGNMENT: Json = {"subs": ["jane"], "roles": ["seca.workspace-viewer"], "scopes": [{}]}


@pytest.fixture
def disk(workspace: str) -> str:
    return at("block-storage", "disk", workspace=workspace)


@pytest.fixture
def one(workspace: str) -> str:
    return at("instance", "one", workspace=workspace)


def size(gigabytes: int) -> Json:
    return {"spec": {"sizeGB": gigabytes, "skuRef": SKU}}


def power_entries(answer: Answer) -> list[tuple[str, str]]:
    """State and reason of the conditions about power, newest first."""
    conditions = answer.json["status"]["conditions"]
    return [(c["state"], c["reason"]) for c in conditions if c.get("type") == "powerState"]


def has_power_entries(answer: Answer, *, number: int) -> bool:
    return len(power_entries(answer)) == number


# --- a volume


async def test_a_volume_is_pending_first_and_then_active(
    client: Client, details: DevDetails, workspace: str, disk: str
) -> None:
    await client.made(at("workspace", workspace), {"spec": {}})
    accepted = await client.put(disk, VOLUME)
    assert accepted.status == 201
    assert accepted.headers["Location"] == details.url + disk
    assert accepted.headers["Content-Type"] == "application/json"
    assert accepted.history == ["pending"]
    assert accepted.json["status"]["sizeGB"] == 10
    assert {part: accepted.json[part] for part in VOLUME} == VOLUME

    made = await client.active(disk)
    assert made.history == MADE
    assert set(made.json) == {"labels", "metadata", "spec", "status"}
    assert set(made.json["status"]) == {"state", "conditions", "sizeGB"}
    times = [each["lastTransitionAt"] for each in made.json["status"]["conditions"]]
    assert times == sorted(times, reverse=True)
    assert all(TIME.fullmatch(time) for time in times)


async def test_an_update_is_answered_with_the_previous_status(
    client: Client, workspace: str, disk: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    before = await client.made(disk, VOLUME)
    updated = await client.put(disk, size(20))
    assert updated.status == 200
    assert "Location" not in updated.headers
    assert updated.json["spec"]["sizeGB"] == 20
    assert "labels" not in updated.json
    assert updated.json["status"] == before.json["status"]
    assert updated.json["metadata"]["resourceVersion"] == 2

    after = await client.until(disk, lambda answer: answer.json["status"]["sizeGB"] == 20)
    assert after.history == ["active", "updating", *MADE]
    assert after.json["metadata"]["createdAt"] == before.json["metadata"]["createdAt"]
    assert after.json["metadata"]["lastModifiedAt"] > before.json["metadata"]["lastModifiedAt"]


async def test_a_volume_cannot_shrink(client: Client, workspace: str, disk: str) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    await client.put(disk, VOLUME)
    refused = await client.put(disk, size(5))
    assert refused.status == 422
    assert refused.json["sources"] == [{"pointer": "/spec/sizeGB", "parameter": ""}]
    assert refused.json["detail"].endswith("is 10 GB and can only grow; ask for at least that")


async def test_a_precondition_is_compared_with_the_version(
    client: Client, workspace: str, disk: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    since = "if-unmodified-since"
    assert (await client.put(disk, VOLUME, **{since: "1"})).status == 412
    assert (await client.put(disk, VOLUME, **{since: "0"})).status == 201
    assert (await client.put(disk, VOLUME, **{since: "0"})).status == 412
    assert (await client.put(disk, size(20), **{since: "1"})).status == 200
    late = await client.put(disk, size(30), **{since: "1"})
    assert late.status == 412
    assert late.json["sources"] == [{"pointer": "", "parameter": since}]
    assert (await client.delete(disk, **{since: "1"})).status == 412
    assert (await client.delete(disk, **{since: "2"})).status == 202


async def test_a_resource_is_returned_as_it_was_sent(
    client: Client, workspace: str, disk: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    sent = {
        "labels": {"b": "2", "a": "", "é/ü": "ß"},
        "annotations": {"note": 'a "quoted"\nline \u2028 \U0001f600'},
        "spec": {
            "sizeGB": 1,
            "skuRef": {"resource": "tenants/seca/skus/seca.rd500", "provider": "seca.storage/v1"},
        },
    }
    ignored = {
        "metadata": {"name": "another", "createdAt": "0001-01-01T00:00:00Z", "region": ""},
        "status": {"state": "", "conditions": None, "sizeGB": "much"},
    }
    await client.put(disk, sent | ignored)
    found = (await client.active(disk)).json
    assert {part: found[part] for part in sent} == sent
    assert found["metadata"]["name"] == "disk"


async def test_an_unchanged_resource_is_answered_304(
    client: Client, workspace: str, disk: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    found = await client.made(disk, VOLUME)
    etag = found.headers["ETag"]
    assert re.fullmatch(r'"1-[0-9a-f]{8}\.[0-9a-f]{24}"', etag)
    for header in (etag, f'"other", {etag}', "*", f"W/{etag}"):
        unchanged = await client.get(disk, If_None_Match=header)
        assert (unchanged.status, unchanged.body) == (304, b""), header
        assert unchanged.headers["ETag"] == etag
    await client.put(disk, size(20))
    changed = await client.get(disk, If_None_Match=etag)
    assert changed.status == 200
    assert changed.headers["ETag"] != etag


async def test_head_answers_the_headers_of_get(client: Client, workspace: str) -> None:
    path = at("workspace", workspace)
    await client.made(path, {"spec": {}})
    for each in (path, at("workspace")):
        got, head = await client.get(each), await client.head(each)
        assert (head.status, head.body) == (200, b"")
        for name in ("Content-Type", "ETag", "Content-Length"):
            assert head.headers[name] == got.headers[name]
    assert (await client.head(at("workspace", "absent"))).status == 404


# --- metadata


COMMON = {"name", "provider", "resource", "verb", "apiVersion", "kind", "ref"}
MODIFIED = {"createdAt", "lastModifiedAt", "resourceVersion"}
REGIONAL = {"tenant", "region"}


@pytest.mark.parametrize(
    ("kind", "name", "resource", "fields"),
    [
        ("region", "eu-1", "regions/eu-1", COMMON | MODIFIED),
        ("tenant", "demo", "tenants/demo", COMMON | MODIFIED),
        ("role", "reader", "roles/reader", COMMON | MODIFIED | {"tenant"}),
        ("role-assignment", "readers", "role-assignments/readers", COMMON | MODIFIED | {"tenant"}),
        ("workspace", "W", "workspaces/W", COMMON | MODIFIED | REGIONAL),
        ("storage-sku", "RD500", "skus/RD500", COMMON | REGIONAL),
        ("instance-sku", "DXS", "skus/DXS", COMMON | REGIONAL),
        (
            "block-storage",
            "disk",
            "block-storages/disk",
            COMMON | MODIFIED | REGIONAL | {"workspace"},
        ),
        ("instance", "one", "instances/one", COMMON | MODIFIED | REGIONAL | {"workspace"}),
    ],
)
async def test_metadata_has_the_fields_of_its_class_and_no_more(
    client: Client,
    details: DevDetails,
    workspace: str,
    kind: str,
    name: str,
    resource: str,
    fields: set[str],
) -> None:
    name, resource = name.replace("W", workspace), resource.replace("W", workspace)
    path = at(kind, name, workspace=workspace)
    token = details.operator_token if kind == "tenant" else details.token
    bodies = {"role": ROLE, "role-assignment": ASSIGNMENT} | {
        "block-storage": VOLUME["spec"],
        "instance": INSTANCE["spec"],
    }
    await client.put(at("workspace", workspace), {"spec": {}})
    if kind == "instance":
        await client.put(at("block-storage", "disk", workspace=workspace), VOLUME)
    if kind in bodies:
        answer = await client.put(path, {"spec": bodies[kind]})
        assert answer.json["metadata"]["verb"] == "PUT"
        assert set(answer.json["metadata"]) == fields
    metadata = (await client.by(token).get(path)).json["metadata"]
    assert set(metadata) == fields
    provider = KINDS[kind].provider.full_name
    expected = {
        "name": name,
        "provider": provider,
        "resource": resource,
        "verb": "GET",
        "apiVersion": "v1",
        "kind": kind,
        "ref": provider + path.split(f"/{provider}")[1],
        "tenant": "demo",
        "workspace": workspace,
        "region": "eu-1",
    }
    shown = {field: metadata[field] for field in fields - MODIFIED}
    assert shown == {field: expected[field] for field in shown}
    for field in fields & {"createdAt", "lastModifiedAt"}:
        assert TIME.fullmatch(metadata[field])


# --- the catalogue


async def test_the_region_names_its_providers_and_zones(
    client: Client, details: DevDetails
) -> None:
    region = (await client.get(at("region", details.region))).json
    assert set(region) == {"metadata", "spec"}
    assert region["spec"]["availableZones"] == ["a", "b", "c"]
    served = {each["name"]: each for each in region["spec"]["providers"]}
    assert served["seca.compute"] == {
        "name": "seca.compute",
        "version": "v1",
        "url": f"{details.url}/providers/seca.compute",
    }
    assert "secaplane.admin" not in served
    assert (await client.get(at("region"))).names == [details.region]


# --- power


async def test_an_instance_is_switched_on_and_off_and_on_again(
    client: Client, workspace: str, disk: str, one: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    await client.put(disk, VOLUME)
    accepted = await client.put(one, INSTANCE)
    assert (accepted.status, accepted.json["status"]["powerState"]) == (201, "off")
    made = await client.active(one)
    assert made.history == MADE
    assert "powerStateSince" not in made.json["status"]

    expected: list[tuple[str, str]] = []
    for action, reasons in (
        ("start", ["turnedOn", "turningOn"]),
        ("restart", ["turnedOn", "turningOff"]),
        ("stop", ["turnedOff", "turningOff"]),
    ):
        requested = await client.post(f"{one}/{action}")
        assert (requested.status, requested.body) == (202, b"")
        expected = [*zip(("active", "updating"), reasons, strict=True), *expected]
        switched = await client.until(one, partial(has_power_entries, number=len(expected)))
        assert power_entries(switched) == expected
        assert switched.json["status"]["powerState"] == reasons[0].removeprefix("turned").lower()
        assert TIME.fullmatch(switched.json["status"]["powerStateSince"])
        assert switched.history[len(expected) :] == MADE


async def test_an_action_depends_on_the_desired_power_state(
    client: Client, log: JetStreamLog, workspace: str, disk: str, one: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    await client.put(disk, VOLUME)
    await client.put(one, INSTANCE)
    for action in ("stop", "restart"):
        assert (await client.post(f"{one}/{action}")).status == 409
    assert (await client.post(f"{one}/start")).status == 202
    assert (await client.post(f"{one}/start")).status == 409
    assert (await client.post(f"{one}/stop")).status == 202
    refused = await client.post(f"{one}/stop")
    assert (refused.status, refused.json["type"]) == (
        409,
        "http://secapi.cloud/errors/resource-conflict",
    )
    ref = KINDS["instance"].ref({"tenant": "demo", "workspace": workspace}, "one")
    requested = [
        r.event.action for r in await log.read(ref) if isinstance(r.event, ActionRequested)
    ]
    assert requested == ["start", "stop"]
    settled = await client.until(one, lambda a: at_rest(a) and power_entries(a) != [])
    assert settled.json["status"]["powerState"] == "off"


# --- deletion


async def test_a_workspace_with_resources_cannot_be_deleted(
    client: Client, workspace: str, disk: str, one: str
) -> None:
    path = at("workspace", workspace)
    await client.put(path, {"spec": {}})
    await client.put(disk, VOLUME)
    await client.put(one, INSTANCE)
    refused = await client.delete(path)
    assert refused.status == 409
    prefix = f"tenants/demo/workspaces/{workspace}"
    assert refused.json["meta"] == {
        "blockers": [
            f"seca.storage/v1/{prefix}/block-storages/disk",
            f"seca.compute/v1/{prefix}/instances/one",
        ],
        "count": 2,
    }
    assert (await client.get(path)).state != "deleting"
    for each in (one, disk, path):
        deleted = await client.delete(each)
        assert (deleted.status, deleted.body) == (202, b"")
    await client.gone(path)
    for each in (one, disk):
        assert (await client.get(each)).status == 404
        assert (await client.delete(each)).status == 404
    orphan = await client.put(disk, VOLUME)
    assert orphan.status == 404
    assert f"workspace {workspace}" in orphan.json["detail"]


async def test_a_name_created_again_begins_a_new_life(
    client: Client, log: JetStreamLog, workspace: str, disk: str
) -> None:
    await client.put(at("workspace", workspace), {"spec": {}})
    first = await client.made(disk, VOLUME)
    await client.put(disk, size(20))
    await client.delete(disk)
    await client.gone(disk)
    again = await client.put(disk, VOLUME)
    assert again.status == 201
    assert again.json["metadata"]["resourceVersion"] == 4
    assert again.json["metadata"]["createdAt"] > first.json["metadata"]["createdAt"]
    assert "deletedAt" not in again.json["metadata"]
    assert (await client.active(disk)).history == MADE

    ref = KINDS["block-storage"].ref({"tenant": "demo", "workspace": workspace}, "disk")
    history = await log.read(ref)
    created = [recorded.uid for recorded in history if isinstance(recorded.event, Created)]
    assert len(set(created)) == len(created) == 2
    assert [r.uid for r in history if isinstance(r.event, Deleted)] == created[:1]


# --- positions


async def test_a_read_at_least_at_a_position_shows_the_write(
    client: Client, workspace: str
) -> None:
    path = at("workspace", workspace)
    answers = [await client.put(path, {"spec": spec}) for spec in ({}, {"a": 1})]
    positions = [parse(answer.headers["Secaplane-Position"]) for answer in answers]
    assert positions == sorted(set(positions))
    shown: Any = await client.get(path, Secaplane_At_Least=str(positions[-1]))
    assert shown.json["spec"] == {"a": 1}
    too_new = await client.get(path, Secaplane_At_Least=str(positions[-1].moved(10**9)))
    assert (too_new.status, too_new.headers["Retry-After"]) == (503, "1")


async def test_a_position_in_a_stream_that_there_is_not_is_refused_at_once(
    client: Client, workspace: str
) -> None:
    path = at("workspace", workspace)
    for read in (path, path.rpartition("/")[0]):
        never = await client.get(read, Secaplane_At_Least="ELSEWHERE:7")
        assert (never.status, never.json["sources"]) == (
            400,
            [{"pointer": "", "parameter": "Secaplane-At-Least"}],
        )
        then = await client.get(f"{read}?asOf=ELSEWHERE:7")
        assert then.status == 400, then
