"""HTTP/1.1 of one connection: what the parser leaves open is bounded here.

The head and everything of a chunked body that is no data (extensions, trailers) share one limit,
because the parser keeps them. Trailers are never headers (RFC 9110, section 6.5.1). Requests that
are sent before the answer to an earlier one are parsed when it is their turn. `Upgrade` is ignored:
no other protocol is served (RFC 9110, section 7.8).
"""

import asyncio
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from secaplane.edge.problem import MEDIA_TYPE, refused
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.serving.connections import Connections
from secaplane.model.errors import Malformed, Refusal, Unavailable

HEAD_BYTES_MAX = 64 * 1024
"""Of the head, chunk extensions and trailers of one request, give or take PIECE_BYTES."""
PIECE_BYTES = 16 * 1024
"""The parser gets what has arrived in pieces, so that a limit acts before all of it is parsed."""
UNREAD_BYTES_MAX = 4 * 1024 * 1024
"""Of a body that is not read, because the answer has been given: a client that has not yet seen its
413 goes on sending, and would miss it if the connection were closed at once."""
UPGRADE = (b"upgrade", b"http2-settings")


IDLE, HEAD, BODY = range(3)
"""Stages of a connection; IDLE: between two requests."""


class BoundedHttpProtocol(HttpToolsProtocol):
    def __init__(self, *, connections: Connections, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._connections, self._limits = connections, connections.limits
        self._stage = HEAD
        self._since = 0.0
        """Beginning of the stage, or of the present window of a body."""
        self._overhead = 0
        """Bytes of the request that are no data of its body."""
        self._in_window = self._in_piece = self._in_chunk = self._unread = 0
        """Bytes of the body: in the window, in the piece, in the chunk, and after the answer."""
        self._unsent, self._unsent_since = 0, 0.0
        self._held = b""
        self._deaf = False
        """Nothing more is parsed: the rest of the connection cannot be understood."""

    # --- as the limits see it

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def waiting_since(self) -> float | None:
        answering = self.cycle is not None and not self.cycle.response_complete
        return None if answering or self._stage is BODY else self._since

    @property
    def unsent_bytes(self) -> int:
        return self.transport.get_write_buffer_size()

    def overdue(self, now: float) -> bool:
        return self._too_slow_to_send(now) or self._too_slow_to_receive(now)

    def _too_slow_to_send(self, now: float) -> bool:
        passed_s = now - self._since
        if self._stage is HEAD:
            return passed_s > self._limits.head_s
        if self._stage is IDLE:
            return self.waiting_since is not None and passed_s > self._limits.idle_s
        if passed_s < self._limits.window_s:
            return False
        least = self._limits.body_bytes_per_s * self._limits.window_s
        too_slow = self._in_window < least and not self.flow.read_paused
        self._since, self._in_window = now, 0
        return too_slow

    def _too_slow_to_receive(self, now: float) -> bool:
        """An answer that does not get shorter for a whole window."""
        unsent = self.unsent_bytes
        if not unsent or unsent < self._unsent or not self._unsent:
            self._unsent, self._unsent_since = unsent, now
            return False
        self._unsent = unsent
        return now - self._unsent_since > self._limits.window_s

    def close(self) -> None:
        self.transport.abort()

    # --- the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._since = self.loop.time()
        if not self._connections.admit(self):
            self._deaf = True
            self._send(Unavailable("too many connections; use those that are open"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.remove(self)
        self._held = b""
        super().connection_lost(exc)
        # the parent keeps the timer, and so the last request, of a connection that was reset
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._held:
            self._held += data
            return
        for start in range(0, len(data), PIECE_BYTES):
            if self._deaf or self.transport.is_closing():
                return
            if self.pipeline:
                self._held = data[start:]
                self.flow.pause_reading()
                return
            self._parse(data[start : start + PIECE_BYTES])

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connections.unread(self)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connections.read(self)

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()
        self._forget_answered()
        if self._held and not self.pipeline:
            held, self._held = self._held, b""
            self.data_received(held)

    def _forget_answered(self) -> None:
        """The parent keeps the last request until the next one begins: its body, in the scope, for
        as long as the connection waits."""
        if self.cycle.response_complete:
            if self.scope is self.cycle.scope:
                self.scope = {}  # type: ignore[typeddict-item]
            self.cycle.scope, self.cycle.body = {}, bytearray()  # type: ignore[typeddict-item]

    def _parse(self, piece: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._stage is IDLE:
            self._stage, self._since = HEAD, self.loop.time()
        self._in_piece = 0
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            self._parse_without_upgrade(piece[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse()
        if self._stage is not IDLE:
            self._overhead += len(piece) - self._in_piece
            if self._overhead > HEAD_BYTES_MAX:
                self._refuse()

    def _parse_without_upgrade(self, rest: bytes) -> None:
        """Parse the request again as one that keeps the protocol; the parser would skip its body,
        and take it for the next request."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse()
            return
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % each for each in self.headers if each[0] not in UPGRADE]
        self.parser = httptools.HttpRequestParser(self)
        self._parse(b"\r\n".join([*lines, b"", b""]) + rest)

    # --- what the parser finds

    def on_message_begin(self) -> None:
        self._overhead = self._in_window = self._unread = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Trailers, which the parser finds after the head, go into a list that is never read."""
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self.headers = []
            self._stage = BODY
            if self._connections.closing:
                self.cycle.keep_alive = False

    def on_chunk_header(self) -> None:
        self._in_chunk = 0

    def on_chunk_complete(self) -> None:
        """The size of a chunk and its two line ends are no overhead."""
        self._overhead -= len(f"{self._in_chunk:x}") + 4

    def on_body(self, body: bytes) -> None:
        size = len(body)
        self._in_window += size
        self._in_piece += size
        self._in_chunk += size
        if self.cycle.response_complete:
            self._unread += size
            if self._unread > UNREAD_BYTES_MAX:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        self._stage, self._since = IDLE, self.loop.time()
        super().on_message_complete()

    # --- refusals

    def _refuse(self) -> None:
        """Refuse what cannot be parsed. Answers keep their order: earlier requests are answered
        first, and then the connection is closed."""
        if self._deaf or self.transport.is_closing():
            return
        self._deaf = True
        if self.pipeline and self._stage is BODY:
            self.pipeline.popleft()
        if self.pipeline:
            self.pipeline[0][0].keep_alive = False
        elif self._stage is BODY or self.cycle is None or self.cycle.response_complete:
            self.send_400_response("")
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """Answer invalid HTTP with a problem; where an answer has begun, only close."""
        if self._stage is BODY and self.cycle is not None and self.cycle.response_started:
            self.transport.close()
        else:
            self._send(Malformed("this is not a valid HTTP/1.1 request"))

    def _send(self, refusal: Refusal) -> None:
        context = RequestContext({"method": "", "path": "", "headers": ()})
        problem = refused(refusal, context)
        body: bytes = problem.content
        status = HTTPStatus(problem.status_code or 0)
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {context.request_id}\r\ncache-control: no-store\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
