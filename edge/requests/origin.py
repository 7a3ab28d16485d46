"""The origin of a request, as the events that it causes record it: the client's address, the user
agent, and the trace that it belongs to (C5:2026 PSS-04.03B, OCSF `src_endpoint`)."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.context import RequestContext

USER_AGENT_LENGTH_MAX = 256
TRACEPARENT_LENGTH = 55
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


class Origin(NamedTuple):
    """Fields of `model.events.Actor`; each is empty where the request has none."""

    client_address: str
    user_agent: str
    traceparent: str


def origin(context: RequestContext, proxies: TrustedProxies) -> Origin:
    return Origin(
        client_address=client_address(context, proxies),
        user_agent=printable(context.header(b"user-agent") or ""),
        traceparent=valid_traceparent(context.headers(b"traceparent")),
    )


def client_address(context: RequestContext, proxies: TrustedProxies) -> str:
    """The client's address, through the trusted proxies."""
    return proxies.client_address(context.peer, context.headers(b"x-forwarded-for"))


def printable(text: str) -> str:
    """The printable characters of a text, at most USER_AGENT_LENGTH_MAX."""
    text = text[: 4 * USER_AGENT_LENGTH_MAX]
    clean = text if text.isprintable() else "".join(filter(str.isprintable, text))
    return clean[:USER_AGENT_LENGTH_MAX]


def valid_traceparent(headers: Sequence[str]) -> str:
    """The `traceparent` of W3C Trace Context, if exactly one was sent and it is valid. Of a version
    later than 00, whose further fields are unknown, the first four fields."""
    sent = headers[0].strip() if len(headers) == 1 else ""
    known, rest = sent[:TRACEPARENT_LENGTH], sent[TRACEPARENT_LENGTH:]
    valid = _TRACEPARENT.fullmatch(known)
    if valid is None or (rest and (valid[1] == "00" or not rest.startswith("-"))):
        return ""
    return known
