"""Fetching keys over a real connection: accepted answers, and the only URLs that are fetched."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from secaplane.model.errors import Unauthenticated
from secaplane.policy.tokens.caller import TokenVerifier
from secaplane.policy.tokens.fetch import BYTES_MAX, FetchFailed, fetcher, read_file, web_session
from secaplane.policy.tokens.issuer import Issuer
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations
from tests.rules.tokens import EC, EC_OTHER, public, shown, signed

JWKS = shown(ec=EC)
DISCOVERY = "/.well-known/openid-configuration"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Provider:
    """An HTTP server with a scripted answer for each path; it records the requested paths."""

    answers: dict[str, Answer | bytes | Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        found = self.answers.get(request.path)
        if found is None:
            return web.Response(status=404)
        if callable(found):
            return await found(request)
        return web.Response(body=found if isinstance(found, bytes) else json.dumps(found))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider({"/jwks": JWKS})
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


async def fetched(issuer: Issuer) -> bytes:
    async with web_session() as session:
        return await fetcher(issuer, session)()


async def failure(issuer: Issuer) -> str:
    with pytest.raises(FetchFailed) as raised:
        await fetched(issuer)
    return str(raised.value)


def at(provider: Provider, path: str = "/jwks") -> Issuer:
    return Issuer(any_audience=True, issuer="https://id.example.org", keys=provider.url + path)


# --- from a URL


async def test_keys_are_fetched_from_a_url(provider: Provider) -> None:
    assert await fetched(at(provider)) == JWKS
    assert provider.asked == ["/jwks"]


async def test_only_status_200_is_accepted(provider: Provider) -> None:
    for status in (201, 204, 304, 400, 404, 500, 503):

        async def refuse(request: web.Request, status: int = status) -> web.Response:
            return web.Response(status=status)

        provider.answers["/jwks"] = refuse
        assert str(status) in await failure(at(provider))


async def test_no_redirect_is_followed(provider: Provider) -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("/other")

    provider.answers |= {"/jwks": elsewhere, "/other": JWKS}
    await failure(at(provider))
    assert provider.asked == ["/jwks"]


async def test_reading_stops_at_the_limit(provider: Provider) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" " * 65536)
            sent += 65536

    provider.answers["/jwks"] = endless
    assert "bytes" in await failure(at(provider))
    provider.answers["/jwks"] = JWKS + b" " * (BYTES_MAX - len(JWKS))
    assert len(await fetched(at(provider))) == BYTES_MAX
    provider.answers["/jwks"] = b" " * (BYTES_MAX + 1)
    await failure(at(provider))


async def test_compressed_answers_are_refused(provider: Provider) -> None:
    async def packed(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        bomb = gzip.compress(b" " * BYTES_MAX * 100)
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    provider.answers["/jwks"] = packed
    assert "compressed" in await failure(at(provider))


async def test_a_closed_or_refused_connection_is_a_failed_fetch(provider: Provider) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        await asyncio.sleep(0)
        return web.Response()

    provider.answers["/jwks"] = hang_up
    await failure(at(provider))
    await failure(Issuer(any_audience=True, issuer="x", keys="http://127.0.0.1:1/jwks"))
    await failure(Issuer(any_audience=True, issuer="x", keys="https://id.invalid/jwks"))


async def test_https_is_not_spoken_to_an_http_server(provider: Provider) -> None:
    await failure(
        Issuer(
            any_audience=True, issuer="x", keys=provider.url.replace("http:", "https:") + "/jwks"
        )
    )
    assert provider.asked == []


async def test_no_cookie_and_no_token_is_sent(provider: Provider) -> None:
    headers = list[Any]()

    async def note(request: web.Request) -> web.Response:
        headers.append(request.headers)
        return web.Response(body=JWKS, headers={"Set-Cookie": "a=b"})

    provider.answers["/jwks"] = note
    async with web_session() as session:
        for _ in range(2):
            await fetcher(at(provider), session)()
    assert not any("Cookie" in each or "Authorization" in each for each in headers)


# --- by discovery


async def test_keys_are_found_by_discovery(provider: Provider) -> None:
    said = {"issuer": provider.url, "jwks_uri": f"{provider.url}/jwks", "more": [1]}
    provider.answers[DISCOVERY] = said
    assert await fetched(Issuer(any_audience=True, issuer=provider.url)) == JWKS
    assert provider.asked == [DISCOVERY, "/jwks"]


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://id.example.org"},
        {"issuer": None},
        {"issuer": "{url}/"},
        {"jwks_uri": None},
        {"jwks_uri": 7},
        {"jwks_uri": ""},
        {"jwks_uri": "/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://id.example.org/jwks"},
        {"jwks_uri": "http://169.254.169.254/latest"},
        {"jwks_uri": "http://[::1/jwks"},
        {"jwks_uri": "http://user:secret@127.0.0.1/jwks"},
        {"jwks_uri": "http://127.0.0.1:99999/jwks"},
        {"jwks_uri": "http://127.0.0.1\u0000/jwks"},
    ],
    ids=str,
)
async def test_an_unsafe_discovery_document_is_not_followed(
    provider: Provider, change: dict[str, Any]
) -> None:
    said = {"issuer": provider.url, "jwks_uri": f"{provider.url}/jwks"} | change
    if isinstance(said["issuer"], str):
        said["issuer"] = said["issuer"].replace("{url}", provider.url)
    provider.answers[DISCOVERY] = said
    await failure(Issuer(any_audience=True, issuer=provider.url))
    assert provider.asked == [DISCOVERY]


@pytest.mark.parametrize("said", [b"", b"<html>", b"[]", b"[" * 5000, b"\xff"], ids=str)
async def test_an_undecodable_discovery_document_is_refused(
    provider: Provider, said: bytes
) -> None:
    provider.answers[DISCOVERY] = said
    await failure(Issuer(any_audience=True, issuer=provider.url))


# --- from a file


async def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    file.write_bytes(JWKS)
    assert await fetched(Issuer(any_audience=True, issuer="x", keys=str(file))) == JWKS
    file.write_bytes(b" " * (BYTES_MAX + 1))
    await failure(Issuer(any_audience=True, issuer="x", keys=str(file)))
    file.unlink()
    await failure(Issuer(any_audience=True, issuer="x", keys=str(file)))
    with pytest.raises(FetchFailed):
        read_file(tmp_path)


# --- a token cannot select the URL


async def test_a_token_cannot_cause_a_fetch_of_anything_but_the_issuers_keys(
    provider: Provider,
) -> None:
    issuer = at(provider)
    keys = IssuerKeys(issuer, wait_s=1)
    tokens = TokenVerifier([keys], Revocations())
    async with web_session() as session, asyncio.TaskGroup() as group:
        fetch = fetcher(issuer, session)
        await keys.refresh(fetch)
        running = group.create_task(keys.run(fetch))
        for header in (
            {"jku": f"{provider.url}/evil", "kid": "evil"},
            {"x5u": f"{provider.url}/evil"},
            {"jwk": public("evil", EC_OTHER), "kid": "evil"},
            {"kid": f"{provider.url}/evil"},
            {"kid": "../../evil"},
            {"kid": "'; select 1; --"},
        ):
            with pytest.raises(Unauthenticated):
                await tokens.caller(f"Bearer {signed(EC_OTHER, header=header)}")
        assert await tokens.caller(f"Bearer {signed()}")
        running.cancel()
    assert set(provider.asked) == {"/jwks"}
