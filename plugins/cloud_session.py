"""The HTTP session of a plugin: bounded in time and connections, without cookies and retries."""

import ssl
from collections.abc import Mapping

import aiohttp


def trusting(ca: str) -> ssl.SSLContext | None:
    """A TLS context that trusts the authorities in a file; None, those of the system, where none is
    named.

    Raises:
        ValueError: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca) if ca else None
    except OSError as error:
        raise ValueError(f"ca: {error}") from error


def opened(
    *, seconds: float, connections: int, tls: ssl.SSLContext | None, headers: Mapping[str, str]
) -> aiohttp.ClientSession:
    """A session of the running event loop, to which it belongs. `seconds`: of a request."""
    session = aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=seconds),
        connector=aiohttp.TCPConnector(limit=connections, ssl=tls or True),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    # aiohttp would silently repeat an idempotent request whose answer was lost. Retries belong to
    # the reconciler, which counts them and backs off.
    session._retry_connection = False
    return session
