"""Fetching an issuer's keys: from a file, a URL, or a URL that its discovery document names."""

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
"""Raises FetchFailed."""


class FetchFailed(Exception):
    """The keys were not fetched this time. The message never repeats what was received."""


class _Discovery(msgspec.Struct, frozen=True):
    """The parts of an OpenID provider's metadata that are used."""

    issuer: str
    jwks_uri: str


_discovery = msgspec.json.Decoder(_Discovery).decode


def read_file(path: Path) -> bytes:
    """Raises FetchFailed."""
    try:
        with path.open("rb") as file:
            content = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise FetchFailed(f"{path}: {error.strerror}") from error
    if len(content) > BYTES_MAX:
        raise FetchFailed(f"{path}: it has more than {BYTES_MAX} bytes")
    return content


def fetcher(issuer: Issuer, session: aiohttp.ClientSession) -> Fetch:
    """The function that fetches the keys of an issuer."""
    if issuer.file:
        return lambda: asyncio.to_thread(read_file, Path(issuer.file))
    return lambda: _fetched(issuer, session)


def web_session() -> aiohttp.ClientSession:
    """A session without cookies and without decompression, so that a small answer stays small."""
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=FETCH_S_MAX),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
    )


async def _fetched(issuer: Issuer, session: aiohttp.ClientSession) -> bytes:
    content = await _got(session, issuer.url)
    if not issuer.discovered:
        return content
    try:
        discovery = _discovery(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FetchFailed(f"{issuer.url}: it is no discovery document") from error
    if discovery.issuer != issuer.issuer:
        raise FetchFailed(f"{issuer.url}: it is the document of another issuer")
    try:
        if issuer.url.startswith("https:") and not discovery.jwks_uri.startswith("https:"):
            raise ValueError("it leads from https to http")
        refuse_unsafe(discovery.jwks_uri, plain_http=issuer.plain_http)
    except ValueError as error:
        raise FetchFailed(f"{issuer.url}: its jwks_uri: {error}") from error
    return await _got(session, discovery.jwks_uri)


async def _got(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body of a 200; no redirect is followed, and reading stops at the limit."""
    try:
        async with session.get(URL(url), allow_redirects=False) as answer:
            if answer.status != OK:
                raise FetchFailed(f"{url}: it answers {answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise FetchFailed(f"{url}: it is compressed, although identity was requested")
            content = bytearray()
            async for piece in answer.content.iter_any():
                content += piece
                if len(content) > BYTES_MAX:
                    raise FetchFailed(f"{url}: it has more than {BYTES_MAX} bytes")
            return bytes(content)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        raise FetchFailed(f"{url}: {error or type(error).__name__}") from error
