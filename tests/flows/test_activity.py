"""The activity log over HTTP: accepted requests, reports, refusals and reads of operators, for
those who hold the right, and in the present life of the tenant alone."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote

import pytest
from msgspec.structs import replace

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.dev.plane import OPERATOR
from secaplane.cli.operate.tenants import appoint_auditors, delete
from secaplane.model.shape import Json
from tests.flows.client import VOLUME, Answer, Client, at
from tests.flows.crashing import Scene, until
from tests.flows.rebuilding import said
from tests.flows.replaying import of_plane

AUDIT = "/providers/secaplane.audit/v1"
TENANT = "acme"
SECRET = "Nq4-activity-never-shows-this-Zx1"
ADMINISTRATOR, AUDITOR, STRANGER = "ada", "eve", "mallory"
WEB, DISK = at("workspace", "web", tenant=TENANT), {"tenant": TENANT, "workspace": "web"}
ONE = at("block-storage", "one", **DISK)
LOGS = at("activity-log", **DISK)


def tenant_path(tenant: str = TENANT) -> str:
    return f"/providers/secaplane.admin/v1/tenants/{tenant}"


def activity(tenant: str = TENANT, **filters: str) -> str:
    sent = "&".join(f"{key.rstrip('_')}={quote(value)}" for key, value in filters.items())
    return f"{AUDIT}/tenants/{tenant}/activity?{sent}"


def activity_item(name: str, tenant: str = TENANT) -> str:
    return f"{AUDIT}/tenants/{tenant}/activity/{name}"


class ActivityScene:
    """A tenant with an administrator and an auditor, and who asks."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.client = scene, scene.client
        self.operator, self.ada = self.by(OPERATOR), self.by(ADMINISTRATOR)
        self.eve, self.mallory = self.by(AUDITOR), self.by(STRANGER)

    def by(self, sub: str) -> Client:
        return self.client.by(self.scene.plane.dev.token(sub))

    @property
    def config(self) -> Config:
        dev = self.scene.plane.dev
        return replace(
            dev.config,
            nats=replace(dev.config.nats, url=dev.nats("everything")),
            postgres=replace(dev.config.postgres, url=dev.postgres(OWNER)),
        )

    async def founded(self) -> None:
        spec = {"spec": {"administrators": [ADMINISTRATOR]}}
        assert (await self.operator.put(tenant_path(), spec)).status == 201
        assert await appoint_auditors(self.config, TENANT, [AUDITOR]) == 0
        await self.eve.until(activity(), lambda answer: answer.status == 200)

    async def items(self, **filters: str) -> list[Json]:
        answer = await self.eve.get(activity(**filters))
        assert answer.status == 200, answer
        items: list[Json] = answer.json["items"]
        return items

    async def found(self, number: int, **filters: str) -> list[Json]:
        """When that many are there: entries reach the stream in the background."""
        answer = await self.eve.until(activity(**filters), at_least(number))
        items: list[Json] = answer.json["items"]
        return items


def at_least(number: int) -> Callable[[Answer], bool]:
    return lambda answer: answer.status == 200 and len(answer.json["items"]) >= number


@pytest.fixture
async def acme(scene: Scene) -> ActivityScene:
    return ActivityScene(scene)


async def test_the_activity_of_a_tenant(acme: ActivityScene) -> None:
    """Scenes in their order, on one control plane."""
    await acme.founded()
    await accepted_requests_and_reports_are_listed(acme)
    await refusals_name_caller_resource_and_reason(acme)
    await refused_writes_name_the_problem_and_no_value(acme)
    await reads_and_writes_of_operators_are_listed(acme)
    await strangers_are_counted_under_pseudonyms(acme)
    await the_filters_select(acme)
    await an_auditor_may_read_and_an_administrator_may_not(acme)
    await the_standard_shows_a_workspace(acme)
    await each_item_has_an_address(acme)
    await pages_are_stable_while_entries_arrive(acme)
    await a_killed_projector_goes_on(acme)
    await rows_are_those_that_the_streams_give(acme)
    await a_former_life_is_not_shown(acme)


async def accepted_requests_and_reports_are_listed(acme: ActivityScene) -> None:
    await acme.ada.made(WEB, {})
    answer = await acme.ada.put(ONE, VOLUME, User_Agent="audit-test/1", X_Request_Id="make-one")
    await acme.ada.active(ONE)
    found = await acme.found(2, kind="block-storage")
    created = next(each for each in found if each["type"] == "created")
    assert created["position"] == answer.headers["Secaplane-Position"]
    assert (created["outcome"], created["verb"], created["status"]) == ("accepted", "put", 201)
    ref = ONE.removeprefix("/providers/")
    assert (created["resource"]["ref"], created["resource"]["kind"]) == (ref, "block-storage")
    assert created["request"].startswith("make-one.")
    actor = created["actor"]
    assert (actor["sub"], actor["clientAddress"]) == (ADMINISTRATOR, "127.0.0.1")
    assert (actor["userAgent"], actor["assignment"]) == (
        "audit-test/1",
        "administrators/seca.admin",
    )
    assert actor["policyRevision"].startswith("SECA:")
    report = found[0]
    assert (report["type"], report["outcome"]) == ("status-reported", "reported")
    assert report["actor"]["sub"] == "reconciler"
    assert report["time"] >= created["time"]


async def refusals_name_caller_resource_and_reason(acme: ActivityScene) -> None:
    """Of a caller that an assignment of the tenant names."""
    answer = await acme.eve.put(ONE, VOLUME, User_Agent="audit-test/2")
    assert answer.status == 403
    (refused,) = await acme.found(1, outcome="refused", kind="block-storage")
    assert (refused["type"], refused["verb"], refused["status"]) == ("refused", "put", 403)
    assert refused["reason"] == answer.json["detail"]
    assert refused["position"].startswith("SECA-audit:")
    assert refused["request"] == answer.headers["X-Request-Id"]
    assert refused["resource"]["ref"] == ONE.removeprefix("/providers/")
    assert refused["actor"]["sub"] == AUDITOR
    assert refused["actor"]["userAgent"] == "audit-test/2"
    assert refused["actor"]["policyRevision"].startswith("SECA:")


async def refused_writes_name_the_problem_and_no_value(acme: ActivityScene) -> None:
    """Of a retry loop the first two are entries, and the others are counted."""
    broken = {"spec": VOLUME["spec"] | {"sizeGB": SECRET}, "labels": {SECRET: 7}}
    assert (await acme.ada.put(ONE, broken)).status == 422
    for _ in range(5):
        answer = await acme.ada.delete(WEB)
        assert answer.status == 409, answer
    assert (await acme.ada.get(f"{ONE}-not")).status == 404
    found = await acme.found(3, actor=ADMINISTRATOR, outcome="refused")
    shown = [(each["status"], each["verb"], each["resource"]["kind"]) for each in found]
    assert shown == [(409, "delete", "workspace")] * 2 + [(422, "put", "block-storage")]
    assert found[2]["problem"].endswith("/validation-error")
    assert found[2]["reason"].startswith("/spec/sizeGB")
    assert SECRET not in str(found)
    assert [each["position"] for each in await acme.items(problem="validation-error")] == [
        found[2]["position"]
    ]
    assert await acme.items(problem="resource-conflict") == found[:2]
    assert await acme.items(problem="resource-conflict", actor=AUDITOR) == []


async def reads_and_writes_of_operators_are_listed(acme: ActivityScene) -> None:
    assert (await acme.operator.get(tenant_path())).status == 200
    assert (await acme.operator.get(tenant_path("").rstrip("/"))).status == 200
    found = await acme.found(3, actor=OPERATOR)
    assert {each["actor"]["assignment"] for each in found} == {"configuration"}
    shown = [(each["verb"], each["resource"]["ref"]) for each in found]
    ref = tenant_path().removeprefix("/providers/")
    assert shown == [("list", ref.rpartition("/")[0]), ("get", ref), ("put", ref)]
    assert [each["type"] for each in found] == ["read", "read", "created"]


async def strangers_are_counted_under_pseudonyms(acme: ActivityScene) -> None:
    """The auditor was unknown, too, before it was appointed."""
    before = await unknown(acme)
    for number in range(5):
        assert (await acme.mallory.get(f"{WEB}-{number}")).status == 403
    assert (await acme.mallory.put(ONE, VOLUME, token=None)).status == 401
    await counted_unknown(acme, before, 6)
    (mallory,) = (await unknown(acme)).keys() - before.keys() - {"unauthenticated"}
    hours = await acme.items(actor=mallory)
    assert sum(each["refused"] for each in hours) == 5
    assert {kind for each in hours for kind in each["most"][0]["kinds"]} == {"workspace"}
    assert {verb for each in hours for verb in each["most"][0]["verbs"]} == {"get"}
    assert STRANGER not in str(await acme.items())
    assert await acme.items(actor=STRANGER) == []  # a guessed name finds nothing


async def unknown(acme: ActivityScene) -> Counter[str]:
    """Refused requests by pseudonym."""
    found = Counter[str]()
    for hour in await acme.items(outcome="refused"):
        for each in hour.get("most", ()):
            found[each["actor"]["sub"]] += each["refused"]
    return found


async def counted_unknown(acme: ActivityScene, before: Counter[str], more: int) -> None:
    """Refusals of unknown callers are counted in the background."""

    async def counted() -> bool:
        return (await unknown(acme)).total() == before.total() + more

    await until(counted, f"{more} refusals are counted")


async def the_filters_select(acme: ActivityScene) -> None:
    every = await acme.items()
    shown: Callable[[Json], object]
    for name, value, shown in (
        ("actor", ADMINISTRATOR, lambda each: each.get("actor", {}).get("sub")),
        ("verb", "put", lambda each: each.get("verb")),
        ("outcome", "accepted", lambda each: each["outcome"]),
        ("kind", "workspace", lambda each: each.get("resource", {}).get("kind")),
    ):
        found = await acme.items(**{name: value})
        single = [each for each in found if each["type"] != "unknown-callers"]
        assert single == [each for each in every if shown(each) == value], name
        assert single, name
    middle = every[len(every) // 2]["time"]
    since, until_ = await acme.items(from_=middle), await acme.items(to=middle)
    times = [each["time"] for each in since if each["type"] != "unknown-callers"]
    assert min(times) == middle
    assert max(each["time"] for each in until_) == middle
    inside = await acme.items(workspace="web")
    assert {each["resource"]["ref"] for each in inside if "resource" in each} >= {
        WEB.removeprefix("/providers/"),
        ONE.removeprefix("/providers/"),
    }
    for wrong in ("verb=write", "kind=disk", "outcome=no", "from=now", "to=SECA:1", "limit=0"):
        answer = await acme.eve.get(f"{activity()}{wrong}")
        assert (answer.status, answer.json["sources"][0]["parameter"]) == (
            400,
            wrong.partition("=")[0],
        )


async def an_auditor_may_read_and_an_administrator_may_not(acme: ActivityScene) -> None:
    before = await unknown(acme)
    assert (await acme.ada.get(activity())).status == 403
    assert (await acme.mallory.get(activity())).status == 403
    assert (await acme.eve.get(activity("other"))).status == 403
    assert (await acme.eve.get(activity(), token=None)).status == 401
    assert (await acme.eve.head(activity())).status == 200
    assert (await acme.eve.post(activity())).status == 405
    await counted_unknown(acme, before, 2)


async def the_standard_shows_a_workspace(acme: ActivityScene) -> None:
    """To the administrator; with what was written, and no secret."""
    cloud_init = {"spec": {"userData": SECRET}}
    assert (await acme.ada.put(at("instance", "x", **DISK), cloud_init)).status == 422
    answer = await acme.ada.get(LOGS)
    assert answer.status == 200
    items = answer.json["items"]
    created = next(each for each in items if each["spec"]["request"].get("body"))
    metadata, spec = created["metadata"], created["spec"]
    assert (metadata["kind"], metadata["workspace"]) == ("activity-log", "web")
    assert spec["subject"] == ADMINISTRATOR
    assert spec["request"]["resource"] == ONE.split("/v1/")[1]
    assert spec["request"]["body"]["sizeGB"] == VOLUME["spec"]["sizeGB"]
    assert (spec["request"]["verb"], spec["response"]) == ("put", {"code": 201})
    assert {each["spec"].get("response", {}).get("code") for each in items} >= {201, 403, None}
    assert STRANGER not in answer.body.decode()
    assert (await acme.ada.get(f"{LOGS}?labels=a=b")).json["items"] == []
    assert (await acme.ada.get(LOGS.replace("web", "none"))).json["items"] == []
    assert (await acme.eve.get(LOGS)).status == 403


async def each_item_has_an_address(acme: ActivityScene) -> None:
    """At which it is what the list shows, for those who may get it."""
    items = {each["type"]: each for each in reversed(await acme.items())}
    assert {"created", "status-reported", "refused", "read", "unknown-callers"} <= items.keys()
    for each in items.values():
        one = await acme.eve.get(activity_item(each["name"]))
        assert (one.status, one.json) == (200, each), each
    assert (await acme.eve.head(activity_item(each["name"]))).status == 200
    for absent in ("seca-999999999", "seca-audit-999999", "unknown-callers-2020010100", "x"):
        assert (await acme.eve.get(activity_item(absent))).status == 404
    assert (await acme.eve.get(f"{activity_item(each['name'])}?asOf=SECA:1")).status == 400
    assert (await acme.ada.get(activity_item(each["name"]))).status == 403
    assert (await acme.eve.get(activity_item(each["name"], "other"))).status == 403
    shown = (await acme.ada.get(LOGS)).json["items"]
    for item in (shown[0], shown[-1], *(each for each in shown if "response" not in each["spec"])):
        one = await acme.ada.get(f"{LOGS}/{item['metadata']['name']}")
        assert (one.status, one.json) == (200, item)
    tenant = next(
        each for each in await acme.items() if each.get("resource", {}).get("kind") == "tenant"
    )
    assert (await acme.ada.get(f"{LOGS}/{tenant['name']}")).status == 404
    assert (await acme.eve.get(f"{LOGS}/{shown[0]['metadata']['name']}")).status == 403


async def pages_are_stable_while_entries_arrive(acme: ActivityScene) -> None:
    """Everything that was there at the first page is on one page, once."""
    before = await acme.items()
    shown, token = list[Json](), ""
    while True:
        answer = await acme.eve.get(f"{activity()}limit=3{token}")
        assert answer.status == 200, answer
        shown += answer.json["items"]
        await acme.ada.put(ONE, VOLUME)
        await acme.eve.put(ONE, VOLUME)
        sent = answer.json["metadata"].get("skipToken")
        if sent is None:
            break
        token = f"&skipToken={sent}"
    positions = [each["position"] for each in shown if "position" in each]
    assert len(set(positions)) == len(positions)
    assert {each["position"] for each in before if "position" in each} <= set(positions)
    hours = [each["time"] for each in shown if each["type"] == "unknown-callers"]
    assert len(set(hours)) == len(hours)
    assert all(one["time"] >= other["time"] for one, other in pairwise(shown))
    foreign = await acme.eve.get(f"{activity(verb='put')}&limit=3{token}")
    assert foreign.status == (400 if token else 200)


async def a_killed_projector_goes_on(acme: ActivityScene) -> None:
    """Entries of the time without a projector are there afterwards, each once; until then there is
    no answer that leaves them out."""
    before = await _at_rest(acme)
    former = acme.scene.pid("projector")
    os.kill(former, signal.SIGSTOP)
    try:
        for _ in range(3):
            assert (await acme.eve.put(ONE, VOLUME)).status == 403
        await asyncio.sleep(0.5)  # entries are published in the background
        behind = await acme.eve.get(activity())
        assert behind.status == 503
    finally:
        os.kill(former, signal.SIGKILL)
    await acme.scene.started_again("projector", former)
    known = [each for each in before if "position" in each]
    found = await _single(acme, len(known) + 3)
    assert [each["position"] for each in found[3:]] == [each["position"] for each in known]


async def _at_rest(acme: ActivityScene) -> list[Json]:
    """The refusals once no more arrive: entries are published in the background, so that those of
    requests before may still come."""
    while True:
        first = await acme.items(outcome="refused", kind="block-storage")
        await asyncio.sleep(1.0)
        second = await acme.items(outcome="refused", kind="block-storage")
        if first == second:
            return second


async def _single(acme: ActivityScene, number: int) -> list[Json]:
    def there(answer: Answer) -> bool:
        if answer.status != 200:
            return False
        single = [each for each in answer.json["items"] if "position" in each]
        return len(single) == number

    answer = await acme.eve.until(activity(outcome="refused", kind="block-storage"), there)
    return [each for each in answer.json["items"] if "position" in each]


async def rows_are_those_that_the_streams_give(acme: ActivityScene) -> None:
    status, lines = await said(await of_plane(acme.scene.plane, "--check", "--group", "activity"))
    assert status == 0, lines


async def a_former_life_is_not_shown(acme: ActivityScene) -> None:
    for each in (ONE, WEB):
        assert (await acme.ada.delete(each)).status == 202
        await acme.ada.gone(each)
    assert await delete(acme.config, TENANT) == 0
    await acme.operator.gone(tenant_path())
    assert (await acme.mallory.get(WEB)).status == 403  # in no life
    await acme.founded()
    found = await acme.items()
    assert {each["resource"]["kind"] for each in found if "resource" in each} <= {
        "tenant",
        "role-assignment",
    }
    refused = [each for each in found if each["outcome"] == "refused"]
    assert {each["type"] for each in refused} <= {"unknown-callers"}
    # the auditor, before it was appointed; of the stranger there is nothing
    assert [each for hour in refused for each in hour["most"] if "kinds" in each] == []
