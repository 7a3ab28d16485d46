"""Rules of HTTP/1.1 for the head of a request that the parser leaves open. Without IO.

Two readers that understand a head differently, a proxy and this server, see two requests.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from secaplane.edge.requests.context import RequestContext
from secaplane.model.errors import Malformed, Refusal, UnsupportedMediaType

HOST_LENGTH_MAX = 300
HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=%-]+)(:[0-9]{0,5})?")
"""A registered name, an IPv4 address or an IPv6 literal, and perhaps a port (RFC 3986, 3.2.2)."""
IDENTITY = ("", "identity")
VERSIONS = ("1.1", "1.0")
"""The parser also reads 0.9 and 2.0, which have no such head, or none like it."""


def fault(context: RequestContext, http_version: str) -> Refusal | None:
    """The refusal of a head that readers may understand differently, or None.

    Host: exactly one in HTTP/1.1, and a valid one (RFC 9112, section 3.2). Transfer-Encoding: only
    chunked, and none in HTTP/1.0 (section 6.1). Content-Encoding: only identity, because nothing is
    decoded here.
    """
    if http_version not in VERSIONS:
        return Malformed("the request takes HTTP/1.1 or HTTP/1.0")
    host = context.header(b"host")
    if host is None:
        if http_version != "1.0":
            return Malformed("HTTP/1.1 takes one Host header", parameter="Host")
    elif context.repeats(b"host"):
        return Malformed("Host is repeated; send it once", parameter="Host")
    elif len(host) > HOST_LENGTH_MAX or not _is_host(host):
        return Malformed("Host takes a name or an address, and perhaps a port", parameter="Host")
    if not context.has_body:
        return None
    codings = () if http_version == "1.0" else ("chunked",)
    if not _only(context.headers(b"transfer-encoding"), codings):
        return Malformed("Transfer-Encoding takes chunked alone", parameter="Transfer-Encoding")
    if not _only(context.headers(b"content-encoding"), IDENTITY):
        return UnsupportedMediaType(
            "bodies are not decompressed; send it without Content-Encoding",
            parameter="Content-Encoding",
        )
    return None


@lru_cache(maxsize=64)
def _is_host(text: str) -> bool:
    """Remembered, because a server is asked by few names."""
    return HOST.fullmatch(text) is not None


def _only(headers: Sequence[str], allowed: Sequence[str]) -> bool:
    return len(headers) <= 1 and all(each.strip().lower() in allowed for each in headers)
