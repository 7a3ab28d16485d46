"""Answers whose body is bytes already: sent as they are."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

JSON = "application/json"


class Answer:
    """An ASGI application that sends one answer. The server leaves out the body for HEAD."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(
        self, body: bytes, headers: Mapping[str, str], *, status: int = 200, media_type: str = JSON
    ) -> None:
        """An empty `media_type` sends none."""
        self._status, self._body = status, body
        self._headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]
        if media_type:
            self._headers.append((b"content-type", media_type.encode("latin-1")))
        if status != HTTPStatus.NOT_MODIFIED:
            self._headers.append((b"content-length", b"%d" % len(body)))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start = {"type": "http.response.start", "status": self._status, "headers": self._headers}
        await send(start)
        await send({"type": "http.response.body", "body": self._body})


def not_modified_answer(headers: Mapping[str, str]) -> Answer:
    """The client has this body (RFC 9110, section 15.4.5)."""
    return Answer(b"", headers, status=HTTPStatus.NOT_MODIFIED, media_type="")
