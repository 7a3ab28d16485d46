"""Every way in which a request can be wrong: it is refused as a problem, and no event is
appended."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from io import BytesIO
from typing import Any

import msgspec
import pytest

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.model.actor import RECONCILER, SYSTEM
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Json
from tests.flows.client import JSON, SKU, VOLUME, Answer, Client, at
from tests.flows.problems import refused
from tests.positions import STREAM

DISK = at("block-storage", "disk", workspace="absent")
DISKS = at("block-storage", workspace="absent")
SPEC: Json = VOLUME["spec"]
MEBIBYTE = 1024 * 1024


@pytest.fixture(autouse=True)
async def no_event_is_appended(log: JetStreamLog) -> AsyncIterator[None]:
    """Except reports and system events that follow from earlier requests."""
    position = await log.end(STREAM)
    yield
    end = await log.end(STREAM)
    async with aclosing(log.follow(STREAM, after=position)) as batches:
        while position < end:
            for each in await anext(batches):
                assert isinstance(each, RecordedEvent)
                assert each.actor in (RECONCILER, SYSTEM)
                position = each.position


async def sent(client: Client, data: bytes, path: str = DISK, **headers: str) -> Answer:
    return await client.ask("PUT", path, data=data, headers={"Content-Type": JSON} | headers)


def spec(**changed: Any) -> Json:
    return {"spec": SPEC | changed}


# --- unreadable bodies


def nested(levels: int) -> bytes:
    return b'{"spec":' + b"[" * levels + b"]" * levels + b"}"


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        (b"", []),
        (b" ", []),
        (b"{", []),
        (b"spec", []),
        (b'{"spec": {}} {}', []),
        (b"{'spec': {}}", []),
        (b'{"spec": {},}', []),
        (b'\xef\xbb\xbf{"spec": {}}', []),
        (b'{"spec": "\xff"}', []),
        (b'{"spec": NaN}', []),
        (b'{"spec": Infinity}', []),
        (b"null", []),
        (b"[]", []),
        (b'"spec"', []),
        (b"1", []),
        (b'{"spec": 1e999}', ["/spec"]),
        (b'{"spec": {"sizeGB": 9223372036854775808}}', ["/spec/sizeGB"]),
        (b'{"spec": {"sizeGB": ' + b"9" * 5000 + b"}}", ["/spec/sizeGB"]),
        (b'{"spec": {"sizeGB": 1, "sizeGB": 2}}', ["/spec/sizeGB"]),
        (b'{"labels": {"a": "\\u0000"}, "spec": {"b": "\\ud800"}}', ["/labels/a", "/spec/b"]),
        (b'{"labels": {"a\\u0000": ""}}', ["/labels/a"]),
        (nested(64), ["/spec" + "/0" * 63]),
        (nested(100_000), None),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, None),
        (msgspec.json.encode({"labels": {f"l{n}": "" for n in range(65)}}), ["/labels"]),
        (msgspec.json.encode({"annotations": {"a" * 129: ""}}), ["/annotations"]),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_an_unreadable_body_is_refused(
    client: Client, body: bytes, pointers: list[str] | None
) -> None:
    sources = refused(await sent(client, body), 400)
    if pointers is not None:
        assert sources == [(pointer, "") for pointer in pointers]


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize("over", [1, 3 * MEBIBYTE])
async def test_a_body_over_the_size_limit_is_refused(
    client: Client, over: int, declared: bool
) -> None:
    whole = b'{"spec": "' + b" " * (MEBIBYTE + over - 12) + b'"}'

    async def chunks() -> AsyncIterator[bytes]:
        for begin in range(0, len(whole), 65_536):
            yield whole[begin : begin + 65_536]

    data = BytesIO(whole) if declared else chunks()
    answer = await client.ask("PUT", DISK, data=data, headers={"Content-Type": JSON})
    assert refused(answer, 413) == []
    assert (await client.get(DISKS)).status == 200


async def test_a_body_of_exactly_the_size_limit_is_accepted(client: Client) -> None:
    whole = b'{"spec": "' + b" " * (MEBIBYTE - 12) + b'"}'
    assert refused(await sent(client, whole), 422) == [("/spec", "")]


# --- invalid bodies


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/spec"]),
        ({"spec": None}, ["/spec"]),
        ({"spec": []}, ["/spec"]),
        ({"spec": {}}, ["/spec/sizeGB", "/spec/skuRef"]),
        (spec(sizeGB="10"), ["/spec/sizeGB"]),
        (spec(sizeGB=1.5), ["/spec/sizeGB"]),
        (spec(sizeGB=True), ["/spec/sizeGB"]),
        (spec(sizeGB=None), ["/spec/sizeGB"]),
        (spec(sizeGB=0), ["/spec/sizeGB"]),
        (spec(sizeGB=1_000_001), ["/spec/sizeGB"]),
        (spec(skuRef="skus/seca.rd500"), ["/spec/skuRef"]),
        (spec(skuRef={"resource": ""}), ["/spec/skuRef/resource"]),
        (spec(skuRef=SKU | {"ref": "x"}), ["/spec/skuRef/ref"]),
        (spec(skuRef=SKU | {"tenant": "t" * 65}), ["/spec/skuRef/tenant"]),
        (spec(colour="red"), ["/spec/colour"]),
        (spec(**{"a/b~c": 1}), ["/spec/a~1b~0c"]),
        (spec() | {"colour": "red"}, ["/colour"]),
        (spec() | {"extensions": {"unknown": "x"}}, ["/extensions/unknown"]),
        (spec() | {"labels": {"a": 1}}, ["/labels/a"]),
        (spec() | {"labels": {"a": "x" * 64}}, ["/labels/a"]),
        (spec() | {"labels": []}, ["/labels"]),
        (spec() | {"annotations": {"a": "x" * 1025}}, ["/annotations/a"]),
        (spec() | {"metadata": {"region": "eu-2"}}, ["/metadata/region"]),
        (
            {"spec": {"sizeGB": 0, "colour": 1}, "labels": {"a": None}},
            ["/labels/a", "/spec/colour", "/spec/sizeGB", "/spec/skuRef"],
        ),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_all_violations_of_a_body_are_named_at_once(
    client: Client, body: Json, pointers: list[str]
) -> None:
    sources = refused(await client.put(DISK, body), 422)
    assert sorted(sources) == [(pointer, "") for pointer in pointers]


@pytest.mark.parametrize(
    ("kind", "body", "pointers"),
    [
        ("workspace", {"spec": []}, ["/spec"]),
        ("instance", spec(), ["/spec/bootVolume", "/spec/sizeGB", "/spec/zone"]),
        ("role", {"spec": {"permissions": []}}, ["/spec/permissions"]),
        (
            "role",
            {"spec": {"permissions": [{"provider": "p", "resources": ["*"], "verb": ["fly"]}]}},
            ["/spec/permissions/0/provider", "/spec/permissions/0/verb/0"],
        ),
        ("role-assignment", {"spec": {"subs": ["a"], "roles": ["r"]}}, ["/spec/scopes"]),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_a_body_is_validated_by_the_schema_of_its_kind(
    client: Client, kind: str, body: Json, pointers: list[str]
) -> None:
    answer = await client.put(at(kind, "x", workspace="absent"), body)
    assert sorted(refused(answer, 422)) == [(pointer, "") for pointer in pointers]


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "a_b",
        "-a",
        "a-",
        "a..b",
        ".a",
        "a.",
        "a%20b",
        "%C3%BC",
        "%00",
        "a%2Fb",
        "%FF",
        "a" * 129,
    ],
    ids=lambda name: name[:10],
)
async def test_an_invalid_name_is_refused(client: Client, name: str) -> None:
    pointer = ("/metadata/name", "name")
    assert refused(await client.put(f"{DISKS}/{name}", VOLUME), 422) == [pointer]
    for method in ("GET", "DELETE"):
        assert refused(await client.ask(method, f"{DISKS}/{name}"), 404) == []


async def test_an_invalid_scope_is_refused(client: Client) -> None:
    long = at("block-storage", "disk", workspace="a" * 65)
    answer = await client.put(long, VOLUME)
    assert refused(answer, 422) == [("/metadata/workspace", "workspace")]


async def test_a_volume_in_a_missing_workspace_is_refused(client: Client) -> None:
    assert refused(await client.put(DISK, VOLUME), 404) == []


# --- headers


@pytest.mark.parametrize(
    "media_type",
    ["", "text/plain", "application/jsonp", "application/json; charset=latin-1", "application/xml"],
)
async def test_an_unsupported_media_type_is_refused(client: Client, media_type: str) -> None:
    headers = {"Content-Type": media_type} if media_type else {}
    answer = await client.ask("PUT", DISK, data=b'{"spec": {}}', headers=headers)
    assert refused(answer, 415) == [("", "Content-Type")]


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "json", "*"])
@pytest.mark.parametrize("path", [DISK, DISKS])
async def test_an_unacceptable_media_type_is_refused(
    client: Client, path: str, accept: str
) -> None:
    assert refused(await client.get(path, Accept=accept), 406) == [("", "Accept")]
    if path == DISK:
        assert refused(await client.put(path, VOLUME, Accept=accept), 406) == [("", "Accept")]


@pytest.mark.parametrize(
    "version", ["", "-1", "1.5", "one", "0x1", "1" * 20, "Wed, 21 Oct 2015 07:28:00 GMT", "1, 2"]
)
async def test_a_precondition_that_is_no_version_is_refused(client: Client, version: str) -> None:
    since = {"if-unmodified-since": version}
    for method, path in (("PUT", DISK), ("DELETE", DISK), ("POST", at_start())):
        headers = since | {"Content-Type": JSON}
        data = b'{"spec": {}}' if method == "PUT" else None
        answer = await client.ask(method, path, headers=headers, data=data)
        assert refused(answer, 400) == [("", "if-unmodified-since")]


def at_start() -> str:
    return at("instance", "one", workspace="absent") + "/start"


@pytest.mark.parametrize("position", ["", "-1", "now", "1.0", "9" * 20])
async def test_a_malformed_position_is_refused(client: Client, position: str) -> None:
    answer = await client.get(DISKS, Secaplane_At_Least=position)
    assert refused(answer, 400) == [("", "Secaplane-At-Least")]


@pytest.mark.parametrize("sent", ["a b", "x" * 65, "", "é", '"><script>'])
async def test_an_unsafe_request_id_is_replaced(client: Client, sent: str) -> None:
    answer = await client.get(DISK, X_Request_Id=sent)
    refused(answer, 404)
    assert answer.headers["X-Request-Id"] != sent
    safe = await client.get(DISK, X_Request_Id="deploy-7")
    assert safe.headers["X-Request-Id"] == "deploy-7"
    refused(safe, 404)


# --- parameters


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=ten", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=1&limit=2", "limit"),
        ("skipToken=", "skipToken"),
        ("skipToken=false", "skipToken"),
        ("skipToken=" + "A" * 64, "skipToken"),
        ("skipToken=%00", "skipToken"),
        ("skipToken=%F0%9F%98%80", "skipToken"),
        ("labels=env", "labels"),
        ("labels=%3Dprod", "labels"),
        ("labels=env%3D%22prod", "labels"),
        ("labels=env%3Dprod,", "labels"),
        ("labels=env+in+(prod)", "labels"),
        ("labels=size%3Ebig", "labels"),
        ("labels=%00%3D1", "labels"),
        ("labels=" + ",".join(["a%3Db"] * 33), "labels"),
        ("labels=a%3D" + "b" * 5000, "labels"),
        ("labels=%FF", "query"),
        ("&".join(f"p{n}=" for n in range(65)), "query"),
    ],
    ids=lambda value: value[:30],
)
async def test_an_unreadable_query_is_refused(client: Client, query: str, parameter: str) -> None:
    assert refused(await client.get(f"{DISKS}?{query}"), 400) == [("", parameter)]


# --- the other dialect


async def test_in_the_dialect_of_the_conformance_runner_most_refusals_are_412(
    secatest: Client, workspace: str
) -> None:
    path, disk = at("workspace", workspace), at("block-storage", "disk", workspace=workspace)
    await secatest.put(path, {"spec": {}})
    await secatest.put(disk, {"spec": {"sizeGB": 2, "skuRef": {"resource": "skus/tiny"}}})
    for answer, status in (
        (await secatest.put(DISK, VOLUME), 412),
        (await secatest.put(disk, {"spec": {}}), 412),
        (await secatest.put(disk, {"spec": {"sizeGB": 1, "skuRef": {"resource": "x"}}}), 412),
        (await secatest.delete(path), 412),
        (await secatest.put(disk, VOLUME, **{"if-unmodified-since": "9"}), 412),
        (await secatest.get(DISK), 404),
        (await secatest.delete(DISK), 404),
        (await secatest.post(at_start()), 404),
        (await sent(secatest, b"{"), 400),
        (await secatest.get(f"{DISKS}?limit=0"), 400),
        (await secatest.put(disk, VOLUME, token=None), 401),
        (await secatest.put(at("workspace", "x", tenant="foreign"), {}), 403),
    ):
        refused(answer, status)
    (blocker,) = (await secatest.delete(path)).json["meta"]["blockers"]
    assert blocker.endswith("/block-storages/disk")
