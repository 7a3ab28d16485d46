"""Paths and methods: one that is not served is refused as a problem, and no path is normalised."""

import asyncio
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from secaplane.edge.serving.http_protocol import HEAD_BYTES_MAX
from tests.flows.client import JSON, VOLUME, Client, at
from tests.flows.dev_plane import DevDetails
from tests.flows.problems import refused

WORKSPACE = at("workspace", "absent")
DISK = at("block-storage", "disk", workspace="absent")
READ, WRITE, ACT = "GET, HEAD", "GET, HEAD, PUT, DELETE", "POST"
CUT_OFF_S_MAX = 10.0
METHODS = ("GET", "PUT", "DELETE", "POST")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/providers",
        "/providers/seca.storage/v1",
        "/providers/seca.nothing/v1/tenants/demo/workspaces/w",
        "/providers/seca.storage/v2/tenants/demo/skus",
        "/providers/SECA.storage/v1/tenants/demo/skus",
        "/providers/seca.workspace/v1/tenants/demo",
        "/admin",
        "/favicon.ico",
        "/openapi.json/",
        WORKSPACE + "/",
        WORKSPACE + "//",
        at("workspace") + "/",
        WORKSPACE.replace("/tenants", "//tenants"),
        "/" + WORKSPACE,
        WORKSPACE.replace("/workspaces", "%2Fworkspaces"),
        WORKSPACE.replace("demo", ""),
        at("workspace") + "/.",
        at("workspace") + "/..",
        WORKSPACE + "/block-storages",
        at("instance", "one", workspace="absent") + "/explode",
        at("instance", "one", workspace="absent") + "/start/",
        at("block-storage", "disk", workspace="absent") + "/start",
    ],
)
async def test_an_unknown_path_is_refused(client: Client, path: str, method: str) -> None:
    data, headers = (b"{}", {"Content-Type": JSON}) if method == "PUT" else (None, {})
    answer = await client.ask(method, path, data=data, headers=headers)
    if path.rpartition("/")[2] in (".", "..") and method != "POST":
        assert refused(answer, 422 if method == "PUT" else 404) is not None
    elif path.rpartition("/")[2] in (".", ".."):
        assert refused(answer, 405) == []
    else:
        assert refused(answer, 404) == []


@pytest.mark.parametrize(
    ("path", "methods", "allowed"),
    [
        (WORKSPACE, ("POST", "PATCH", "TRACE", "PROPFIND", "OPTIONS"), WRITE),
        (at("workspace"), ("PUT", "POST", "DELETE", "PATCH", "OPTIONS"), READ),
        (DISK, ("POST", "PATCH"), WRITE),
        (at("storage-sku", "seca.rd500"), ("PUT", "DELETE", "POST"), READ),
        (at("region", "eu-1"), ("PUT", "DELETE"), READ),
        (at("tenant", "demo"), ("DELETE",), "GET, HEAD, PUT"),
        (
            at("instance", "one", workspace="absent") + "/start",
            ("GET", "HEAD", "PUT", "DELETE", "PATCH"),
            ACT,
        ),
        ("/healthz", ("PUT", "POST", "DELETE", "OPTIONS"), READ),
        ("/openapi.json", ("PUT", "POST", "DELETE"), READ),
    ],
)
async def test_a_method_that_a_path_does_not_support_is_refused(
    client: Client, path: str, methods: tuple[str, ...], allowed: str
) -> None:
    for method in methods:
        answer = await client.ask(method, path, headers={"Content-Type": JSON})
        assert answer.headers.get("Allow") == allowed, (method, answer)
        if method == "HEAD":
            assert (answer.status, answer.body) == (405, b"")
        else:
            assert refused(answer, 405) == []


async def test_paths_without_authentication_support_head(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        answer = await client.head(path, token=None)
        assert (answer.status, answer.body) == (200, b"")


async def test_an_escaped_path_names_the_same_resource(client: Client, workspace: str) -> None:
    path = at("workspace", workspace)
    await client.put(path, {})
    escaped = path[:-2] + "".join(f"%{ord(letter):02x}" for letter in path[-2:])
    found = await client.get(escaped.replace("tenants", "%74enants"))
    assert found.json["metadata"]["name"] == workspace


async def test_a_long_name_is_not_found_or_invalid(client: Client) -> None:
    for length in (200, 5_000, 16_000):
        name = "a" * length
        assert refused(await client.get(at("workspace", name)), 404) == []
        long = await client.put(at("workspace", name), VOLUME)
        assert refused(long, 422) == [("/metadata/name", "name")]


async def test_a_path_over_the_size_limit_is_refused(client: Client) -> None:
    for length in (17_000, 50_000):
        path = at("workspace", "a" * length)
        for answer in (await client.get(path), await client.put(path, VOLUME)):
            assert refused(answer, 414) == []


async def test_endless_request_headers_are_cut_off(client: Client, details: DevDetails) -> None:
    """The connection is closed within the time, even if the refusal does not reach the client."""
    url = urlsplit(details.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    async with asyncio.timeout(CUT_OFF_S_MAX):
        with suppress(ConnectionError):
            writer.write(b"GET / HTTP/1.1\r\nX-Endless: ")
            for _ in range(64):
                writer.write(b"a" * HEAD_BYTES_MAX)
                await writer.drain()
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    assert (await client.get(WORKSPACE)).status == 404


async def test_large_request_headers_are_accepted(client: Client) -> None:
    answer = await client.get(WORKSPACE, **{f"X-{n}": "a" * 4_000 for n in range(12)})
    assert refused(answer, 404) == []
