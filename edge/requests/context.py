"""The context of one request: id, headers, peer, caller and verb."""

import math
import re
from collections.abc import Callable, Sequence
from random import getrandbits
from typing import Any

from secaplane.edge.requests.tenant_shares import TenantShares
from secaplane.policy.tokens.caller import Caller

KEY = "secaplane.context"
REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


class RequestContext:
    """Made by the middleware and kept in the ASGI scope. The guard sets caller and verb."""

    __slots__ = (
        "_headers",
        "_sent",
        "_share_ends",
        "caller",
        "method",
        "path",
        "peer",
        "request_id",
        "verb",
    )

    def __init__(self, scope: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self._sent: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self._headers: dict[bytes, bytes] = dict(self._sent)
        self.request_id = self._request_id()
        self.peer: str = (scope.get("client") or ("",))[0]
        self.caller: Caller | None = None
        self.verb = ""
        self._share_ends: Callable[[], None] | None = None

    async def take_share(self, shares: TenantShares, tenant: str) -> None:
        """Wait for the turn of a tenant (`tenant_shares`), once."""
        if self._share_ends is None:
            self._share_ends = await shares.begin(tenant)

    def end_share(self) -> None:
        """The answer begins, or there is none."""
        if self._share_ends is not None:
            self._share_ends()
            self._share_ends = None

    def header(self, name: bytes) -> str | None:
        """The last header of that (lower-case) name, as text."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    def listed(self, name: bytes) -> str | None:
        """All headers of that (lower-case) name as the one list that they are (RFC 9110, 5.3)."""
        return ", ".join(self.headers(name)) if self.repeats(name) else self.header(name)

    def headers(self, name: bytes) -> list[str]:
        """Every header of that (lower-case) name, as text."""
        return [value.decode("latin-1") for key, value in self._sent if key == name]

    def repeats(self, name: bytes) -> bool:
        """True if several headers have that (lower-case) name."""
        return len(self._headers) < len(self._sent) and len(self.headers(name)) > 1

    @property
    def has_body(self) -> bool:
        """A body is announced (RFC 9112, section 6)."""
        length = self._headers.get(b"content-length", b"0")
        return length.strip(b"0") != b"" or b"transfer-encoding" in self._headers

    @property
    def announced_bytes(self) -> float:
        """Bytes of the body; without end if it is chunked."""
        length = self._headers.get(b"content-length", b"0")
        return math.inf if b"transfer-encoding" in self._headers else int(length)

    def _request_id(self) -> str:
        """The client's `X-Request-Id`, if it is valid; otherwise a new one."""
        sent = self.header(b"x-request-id")
        return sent if sent and REQUEST_ID.fullmatch(sent) else new_id()


def new_id() -> str:
    """A unique id. It is no secret, so the fast generator is good enough."""
    return f"{getrandbits(128):032x}"


def request_context(scope: Any) -> RequestContext:
    context: RequestContext = scope[KEY]
    return context
