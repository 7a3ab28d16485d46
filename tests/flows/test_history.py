"""History over HTTP: an auditor reads who changed what, and nothing else; every caller reads as of
then what the caller may read now; an undo is a PUT."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from secaplane.cli.config import read
from secaplane.cli.operate.tenants import appoint_auditors
from secaplane.cli.settings import NatsSettings, PostgresSettings
from tests.flows.client import INSTANCE, SKU, VOLUME, Answer, Client, at
from tests.flows.dev_plane import DevDetails, DevProcess

VIEWS = "/providers/secaplane.audit/v1"
SECRET = "Rk3-history-never-shows-this-Qm8"


def view(segment: str, resource: Answer) -> str:
    return f"{VIEWS}/{segment}/{resource.json['metadata']['ref']}"


@pytest.fixture
async def auditor(client: Client, plane: DevProcess, details: DevDetails) -> Client:
    config = replace(
        read(plane.folder / "config.json"),
        nats=NatsSettings(url=details.nats),
        postgres=PostgresSettings(url=details.postgres),
    )
    assert await appoint_auditors(config, "demo", ["eve"]) == 0
    eve = client.by(plane.token("eve"))
    await client.active(at("role-assignment", "auditors"))
    await eve.until(f"{VIEWS}/history/seca.workspace/v1/tenants/demo/workspaces/none", seen)
    return eve


def seen(answer: Answer) -> bool:
    return answer.status != 403


async def test_an_auditor_reads_who_changed_what_and_nothing_else(
    client: Client, auditor: Client, workspace: str
) -> None:
    await client.put(at("workspace", workspace), {})
    disk = at("block-storage", "disk", workspace=workspace)
    made = await client.put(disk, VOLUME, X_Request_Id="grow-1")
    await client.active(disk)
    grown = {"labels": {"env": "demo"}, "spec": {"sizeGB": 20, "skuRef": SKU}}
    position = (await client.put(disk, grown)).headers["Secaplane-Position"]
    await client.active(disk)
    events = await auditor.get(view("history", made), Secaplane_At_Least=position)
    assert events.status == 200
    items = events.json["items"]
    assert items[0]["time"] > items[-1]["time"]
    assert (items[-1]["type"], items[-1]["changed"]) == ("created", ["/labels", "/spec"])
    assert items[-1]["request"].startswith("grow-1.")
    actor = items[-1]["actor"]
    assert actor["sub"] == "admin@example.org"
    assert actor["assignment"].endswith(("/seca.admin", "/seca.workspace-admin"))
    assert actor["clientAddress"] == "127.0.0.1"
    updated = next(each for each in items if each["type"] == "updated")
    assert (updated["changed"], updated["position"]) == (["/spec/sizeGB"], position)
    blame = (await auditor.get(view("blame", made))).json
    versions = {each["pointer"]: each["resourceVersion"] for each in blame["fields"]}
    assert (versions["/labels/env"], versions["/spec/sizeGB"]) == (1, 2)
    patch = (await auditor.get(view("diff", made) + "?from=1&to=2")).json["patch"]
    assert {"op": "replace", "path": "/spec/sizeGB", "value": 20} in patch
    assert (await auditor.get(disk)).status == 403
    assert (await auditor.post(view("undo", made) + "?to=1")).status == 403
    for segment in ("history", "diff", "blame"):
        assert (await client.get(view(segment, made) + "?from=1")).status == 403
    assert (await client.post(view("undo", made) + "?to=1")).status == 403


async def test_a_resource_is_read_as_it_was(
    client: Client, auditor: Client, workspace: str
) -> None:
    await client.put(at("workspace", workspace), {})
    disk, one = (
        at(kind, name, workspace=workspace)
        for kind, name in (("block-storage", "disk"), ("instance", "one"))
    )
    await client.put(disk, VOLUME)
    then = await client.active(disk)
    secret = {"spec": INSTANCE["spec"] | {"userData": SECRET}}
    position = (await client.put(one, secret)).headers["Secaplane-Position"]
    made = await client.active(one)
    between = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    used = await client.get(disk)
    assert used.json["status"]["attachedTo"]["resource"] == "instances/one"
    created = (await auditor.get(view("history", then))).json["items"]
    at_active = next(each["position"] for each in created if each["state"] == "active")
    assert (await client.get(f"{disk}?asOf={at_active}")).body == then.body
    assert (await client.get(f"{disk}?asOf={between}")).body == used.body
    as_of = await client.get(f"{one}?asOf={position}")
    assert (as_of.status, as_of.json["spec"]["userData"]) == (200, "<secret>")
    assert as_of.json["status"]["state"] == "pending"
    for segment in ("history", "blame", "diff"):
        shown = await auditor.get(view(segment, made) + "?from=1")
        assert shown.status == 200
        assert b"sealed" not in shown.body
        assert SECRET.encode() not in shown.body
    assert (await client.get(f"{one}?asOf={at_active}")).status == 404
    assert (await client.get(f"{one}?asOf=2999-01-01T00:00:00Z")).status == 400
    assert (await client.get(f"{one}?asOf={position}&asOf={position}")).status == 400
    await client.delete(one)
    await client.gone(one)
    assert (await client.get(f"{one}?asOf={position}")).json["spec"] == as_of.json["spec"]
    assert (await auditor.get(f"{one}?asOf={position}")).status == 403
    await client.put(one, INSTANCE)
    assert (await client.get(f"{one}?asOf={position}")).status == 404


async def test_an_undo_is_a_new_event_with_the_secrets_of_today(
    client: Client, auditor: Client, plane: DevProcess, workspace: str
) -> None:
    await client.put(at("workspace", workspace), {})
    await client.put(at("block-storage", "disk", workspace=workspace), VOLUME)
    one = at("instance", "one", workspace=workspace)
    old = {"labels": {"env": "old"}, "spec": INSTANCE["spec"] | {"userData": "old"}}
    new = {"labels": {"env": "new"}, "spec": INSTANCE["spec"] | {"userData": SECRET}}
    made = await client.put(one, old)
    await client.put(one, new)
    assignments = {"subs": ["admin@example.org"], "roles": ["secaplane.auditor"], "scopes": [{}]}
    refused = await client.put(at("role-assignment", "own"), {"spec": assignments})
    assert refused.status == 403  # an administrator cannot give what an administrator has not
    everything = client.by(plane.token("eve"))
    member = {"subs": ["eve"], "roles": ["seca.admin"], "scopes": [{"workspaces": [workspace]}]}
    assert (await client.put(at("role-assignment", workspace), {"spec": member})).status == 201
    await everything.until(one, lambda answer: answer.status == 200)
    undone = await everything.post(view("undo", made) + "?to=1")
    assert undone.status == 200, undone.body
    assert undone.json["labels"] == {"env": "old"}
    assert undone.json["spec"]["userData"] == "<secret>"
    assert undone.json["metadata"]["resourceVersion"] == 3
    present = (await client.get(one)).json
    assert (present["labels"], present["spec"]["userData"]) == ({"env": "old"}, SECRET)
    stale = await everything.post(view("undo", made) + "?to=2", if_unmodified_since="1")
    assert stale.status == 412
    for query in ("", "?to=x", "?to=2&secrets=all", "?to=2&why=1", "?to=3"):
        assert (await everything.post(view("undo", made) + query)).status == 400, query
    assert (await everything.post(view("undo", made) + "?to=9")).status == 404
    newest = (await auditor.get(view("history", made))).json["items"]
    undo = next(each for each in newest if each["type"] == "updated")
    assert undo["resourceVersion"] == 3
    assert undo["actor"]["sub"] == "eve"
    restored = await everything.post(view("undo", made) + "?to=1&secrets=restore")
    assert (restored.status, restored.json["spec"]["userData"]) == (200, "<secret>")
    assert (await client.get(one)).json["spec"]["userData"] == "old"
    volume = view("undo", made).replace("instances/one", "block-storages/none")
    assert (await everything.post(f"{volume}?to=1")).status == 404


@pytest.fixture
async def undoing(client: Client, auditor: Client, plane: DevProcess, workspace: str) -> Client:
    """An auditor who may write in the workspace, where there is a volume, `one`."""
    await client.put(at("workspace", workspace), {})
    one = at("block-storage", "one", workspace=workspace)
    await client.put(one, VOLUME)
    member = {"subs": ["eve"], "roles": ["seca.admin"], "scopes": [{"workspaces": [workspace]}]}
    await client.put(at("role-assignment", workspace), {"spec": member})
    await auditor.until(one, lambda answer: answer.status == 200)
    return auditor


async def test_an_undo_is_refused_where_the_put_is(undoing: Client, workspace: str) -> None:
    one = at("block-storage", "one", workspace=workspace)
    undo = f"{VIEWS}/undo/{one.removeprefix('/providers/')}"
    await undoing.active(one)
    await undoing.put(one, VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": 20}})
    grown = await undoing.active(one)
    put, undone = await undoing.put(one, VOLUME), await undoing.post(f"{undo}?to=1")
    assert (put.status, undone.status) == (422, 422)  # a volume does not shrink
    assert undone.json["sources"] == put.json["sources"]
    assert (await undoing.get(one)).json["metadata"] == grown.json["metadata"]
    for headers, expected in (
        ({"If-Match": '"1-00000000.0"'}, 412),
        ({"If-None-Match": "*"}, 412),
        ({"if-unmodified-since": "1"}, 412),
        ({"if-unmodified-since": "x"}, 400),
        ({"Authorization": "Bearer x"}, 401),
    ):
        assert (await undoing.post(f"{undo}?to=1", **headers)).status == expected, headers
    await undoing.delete(one)
    await undoing.gone(one)
    assert (await undoing.post(f"{undo}?to=2")).status == 404
    again = await undoing.put(one, VOLUME)
    version = again.json["metadata"]["resourceVersion"]
    for former in range(1, version):
        assert (await undoing.post(f"{undo}?to={former}")).status == 404, former


async def test_undos_and_puts_at_once_are_all_recorded_one_after_the_other(
    undoing: Client, auditor: Client, workspace: str
) -> None:
    one = at("block-storage", "one", workspace=workspace)
    ref = one.removeprefix("/providers/")
    puts = [undoing.put(one, VOLUME | {"labels": {"n": str(n)}}) for n in range(6)]
    undos = [undoing.post(f"{VIEWS}/undo/{ref}?to=1") for _ in range(3)]
    answers = await asyncio.gather(*puts, *undos)
    accepted = [each for each in answers if each.status == 200]
    # an undo that came before every PUT names the present version; one that was always overtaken
    assert {each.status for each in answers} <= {200, 400, 412}
    assert len(accepted) >= len(puts)
    last = max(accepted, key=lambda each: int(each.json["metadata"]["resourceVersion"]))
    position = last.headers["Secaplane-Position"]
    history = await auditor.get(f"{VIEWS}/history/{ref}", Secaplane_At_Least=position)
    written = [each for each in history.json["items"] if each["type"] == "updated"]
    assert len(written) == len(accepted)
    assert {each["resourceVersion"] for each in written} == {
        each.json["metadata"]["resourceVersion"] for each in accepted
    }
    for each in accepted[len(puts) :]:
        assert each.json["labels"] == VOLUME["labels"]


async def test_an_access_review_is_of_then_for_who_may_ask_today(
    client: Client, auditor: Client, plane: DevProcess, workspace: str
) -> None:
    jane, name = f"jane-{workspace}", f"{workspace}-editors"
    place = [{"workspaces": [workspace]}]
    disk = at("block-storage", "disk", workspace=workspace)

    async def reviewed(by: Client, then: str = "", caller: str = jane) -> Answer:
        spec = {"verb": "put", "path": disk} | ({"caller": caller} if caller else {})
        path = f"{at('tenant', 'demo')}/access-reviews" + (f"?asOf={then}" if then else "")
        data = msgspec.json.encode({"spec": spec})
        return await by.ask("POST", path, headers={"Content-Type": "application/json"}, data=data)

    before = (await client.put(at("workspace", workspace), {})).headers["Secaplane-Position"]
    editors = {"subs": [jane], "roles": ["seca.workspace-editor"], "scopes": place}
    put = await client.put(at("role-assignment", name), {"spec": editors})
    granted = put.headers["Secaplane-Position"]
    reads = {"spec": editors | {"roles": ["seca.workspace-viewer"]}}
    lessened = (await client.put(at("role-assignment", name), reads)).headers["Secaplane-Position"]
    allowed = {
        then: (await reviewed(client, then)).json["status"]["allowed"]
        for then in ("", before, granted, lessened)
    }
    assert allowed == {"": False, before: False, granted: True, lessened: False}
    then = (await reviewed(client, granted)).json["status"]
    assert (then["by"]["assignment"], then["policyRevision"]) == (name, granted)
    assert jane in (await reviewed(client, granted, caller="")).json["status"]["callers"]
    assert jane not in (await reviewed(client, caller="")).json["status"]["callers"]
    own = client.by(plane.token(jane))
    await own.until(disk, lambda answer: answer.status == 404)
    assert (await reviewed(own, granted)).json["status"]["allowed"]
    assert (await reviewed(own, granted, caller="eve")).status == 403
    assert (await reviewed(auditor, granted)).status == 403
    for point in ("now", "2999-01-01T00:00:00Z", "SECA:999999999", "OTHER:1", "%ff"):
        assert (await reviewed(client, point)).status == 400, point
    await client.delete(at("role-assignment", name))
    await client.gone(at("role-assignment", name))
    assert (await reviewed(client, granted)).json["status"]["allowed"]
    await client.put(at("role-assignment", name), reads)
    assert not (await reviewed(client, granted)).json["status"]["allowed"]  # of a former life
    assert (await reviewed(own, granted)).status == 200


BAD_POINTS = (
    *(
        "",
        " ",
        "now",
        "-1",
        "1e9",
        "%00",
        "%ff",
        "%F0%9F%A6%8A",
        "%22",
        "null",
        "SECA",
        "SECA:",
        ":1",
    ),
    *(
        "SECA:-1",
        "SECA:9999999999999999999",
        "SECA:99999999999999999999",
        "OTHER:1",
        "SECA:1,SECA:2",
    ),
    *("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-23:59", "2026-13-01T00:00:00Z"),
    *("2026-01-01", "2026-01-01T00:00:00", "0000-00-00T00:00:00Z", "2026-01-01T00:00:00%2B99:99"),
    *("A" * 3000, "9" * 3000, "%2526", "..", "SECA:1%0a", "2026-01-01T00:00:60Z", "[]", "{}"),
)
NEVER = ("SECA:0", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00-23:59", "1969-12-31T23:59:59.9999Z")
"""Points before everything."""


async def test_no_point_is_answered_with_a_defect(undoing: Client, workspace: str) -> None:
    listed = at("block-storage", workspace=workspace)
    one = f"{listed}/one"
    ref = one.removeprefix("/providers/")
    for point in BAD_POINTS:
        for address in (f"{one}?asOf={point}", f"{listed}?asOf={point}"):
            answer = await undoing.get(address)
            assert answer.status == 400, (point, answer)
        for query in (f"from={point}", f"from=1&to={point}"):
            answer = await undoing.get(f"{VIEWS}/diff/{ref}?{query}")
            assert answer.status in (400, 404), (point, answer)
        answer = await undoing.post(f"{VIEWS}/undo/{ref}?to={point}")
        assert answer.status in (400, 404), (point, answer)
    for point in NEVER:
        assert (await undoing.get(f"{one}?asOf={point}")).status == 404, point
        assert (await undoing.get(f"{listed}?asOf={point}")).json["items"] == [], point
        assert (await undoing.get(f"{VIEWS}/diff/{ref}?from={point}")).status == 404, point
    for token in ("AAAA", "%00", "A" * 2000, "-1", "%ff"):
        for address in (f"{listed}?asOf=SECA:1&", f"{VIEWS}/history/{ref}?"):
            assert (await undoing.get(f"{address}skipToken={token}")).status == 400, token


BAD_NAMES = ("%00", "%ff", "..", "%2e%2e", "a%2fb", "A" * 300, "%F0%9F%A6%8A", "none", "a%0ab", "")


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_no_reference_is_answered_with_a_defect(
    undoing: Client, workspace: str, name: str
) -> None:
    listed = at("block-storage", workspace=workspace)
    ref = f"{listed.removeprefix('/providers/')}/{name}"
    for segment in ("history", "diff", "blame"):
        answer = await undoing.get(f"{VIEWS}/{segment}/{ref}?from=1")
        assert answer.status in (400, 403, 404), answer
    answer = await undoing.post(f"{VIEWS}/undo/{ref}?to=1")
    assert answer.status in (400, 403, 404, 422), answer
    answer = await undoing.get(f"{listed}/{name}?asOf=SECA:1")
    assert answer.status in (200, 400, 403, 404), answer
