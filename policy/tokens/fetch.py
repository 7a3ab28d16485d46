"""Where an issuer's keys come from: a file, a URL, or a URL that its discovery document names."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

from secaplane.policy.tokens.issuer import Issuer, refuse_unsafe

BYTES_MAX = 256 * 1024
FETCH_S_MAX = 5.0
OK = 200

Fetch = Callable[[], Awaitable[bytes]]
"""Raises Unfetched."""


class Unfetched(Exception):
    """The keys could not be had this time."""


class _Discovery(msgspec.Struct, frozen=True):
    """What we read of an OpenID provider's metadata."""

    issuer: str
    jwks_uri: str


_discovery = msgspec.json.Decoder(_Discovery).decode


def read_file(path: Path) -> bytes:
    """Raises Unfetched."""
    try:
        with path.open("rb") as file:
            found = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise Unfetched(f"{path}: {error.strerror}") from error
    if len(found) > BYTES_MAX:
        raise Unfetched(f"{path}: it has more than {BYTES_MAX} bytes")
    return found


def fetching(issuer: Issuer, session: aiohttp.ClientSession) -> Fetch:
    """How the keys of an issuer are had."""
    if issuer.file:
        return lambda: asyncio.to_thread(read_file, Path(issuer.file))
    return lambda: _asked(issuer, session)


def web_session() -> aiohttp.ClientSession:
    """Keeps no cookies and unpacks nothing: what is small stays small."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_S_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


async def _asked(issuer: Issuer, session: aiohttp.ClientSession) -> bytes:
    found = await _got(session, issuer.url)
    if not issuer.discovered:
        return found
    try:
        said = _discovery(found)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unfetched(f"{issuer.url}: it is no discovery document") from error
    if said.issuer != issuer.issuer:
        raise Unfetched(f"{issuer.url}: it speaks for another issuer")
    try:
        if issuer.url.startswith("https:") and not said.jwks_uri.startswith("https:"):
            raise ValueError("it leads from https to http")
        refuse_unsafe(said.jwks_uri, plain_http=issuer.plain_http)
    except ValueError as error:
        raise Unfetched(f"{issuer.url}: its jwks_uri: {error}") from error
    return await _got(session, said.jwks_uri)


async def _got(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body of a 200; no redirect is followed, and nothing is read past the limit."""
    try:
        async with session.get(URL(url), allow_redirects=False) as answer:
            if answer.status != OK:
                raise Unfetched(f"{url}: it answers {answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise Unfetched(f"{url}: it is packed, and nobody asked for that")
            found = bytearray()
            async for piece in answer.content.iter_any():
                found += piece
                if len(found) > BYTES_MAX:
                    raise Unfetched(f"{url}: it has more than {BYTES_MAX} bytes")
            return bytes(found)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise Unfetched(f"{url}: {error or type(error).__name__}") from error
