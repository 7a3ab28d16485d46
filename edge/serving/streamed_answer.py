"""An answer whose body is written while it is made."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any


class StreamedAnswer:
    """An ASGI application that sends one answer in pieces, as fast as the client reads. When the
    client leaves, nothing more is made. A failure ends the connection, so that what was sent is
    not taken for the whole: the body is chunked (RFC 9112, section 7.1)."""

    def __init__(self, body: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        self._body = body
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async with aclosing(self._body), asyncio.TaskGroup() as group:
            sending = group.create_task(self._send(scope, send))
            leaving = group.create_task(_left(receive, sending))
            await asyncio.wait([sending])
            leaving.cancel()

    async def _send(self, scope: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        if scope["method"] != "HEAD":
            async for piece in self._body:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Any, sending: asyncio.Task[None]) -> None:
    """Ends the sending when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()
