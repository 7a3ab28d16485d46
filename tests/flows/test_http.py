"""HTTP/1.1 itself on a real socket: framing, limits of connections and deadlines, with an
application that answers what it understood."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.serving.connections import ConnectionLimits
from secaplane.edge.serving.http_protocol import HEAD_BYTES_MAX, UNREAD_BYTES_MAX
from secaplane.edge.serving.server import listen, serving

HOST = "127.0.0.1"
GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = ConnectionLimits(head_s=0.2, window_s=0.2, idle_s=0.2)


async def mirror(scope: Any, receive: Any, send: Any) -> None:
    """Answers method, path, headers and the size of the body; `/early` answers before the body."""
    size = 0
    while scope["path"] != "/early":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    headers = [[name.decode(), value.decode()] for name, value in scope["headers"]]
    answer = json.dumps([scope["method"], scope["path"], size, headers]).encode()
    if scope["path"] == "/large":
        answer = b"x" * 64 * 1024 * 1024
    length = (b"content-length", b"%d" % len(answer))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": answer})


class Peer:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        return int(head.split()[1]), await self.reader.readexactly(length)

    async def understood(self) -> Any:
        status, body = await self.answer()
        assert status == 200, body
        return json.loads(body)

    async def closed(self) -> bytes:
        """Reads until the connection is closed."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""

    async def flooded(self, piece: bytes, times: int) -> bool:
        """Sends a piece many times; True if the connection is closed meanwhile."""
        try:
            for _ in range(times):
                await self.send(piece)
            async with asyncio.timeout(5):
                return await self.reader.read() == b""
        except ConnectionError:
            return True


Connect = Callable[[], Any]


@asynccontextmanager
async def served(limits: ConnectionLimits | None = None) -> AsyncIterator[Connect]:
    listening = listen(HOST, 0)
    port = listening.getsockname()[1]
    peers: list[Peer] = []

    async def connect() -> Peer:
        peers.append(Peer(*await asyncio.open_connection(HOST, port)))
        return peers[-1]

    async with serving(mirror, listening, limits):
        await asyncio.sleep(0)
        try:
            yield connect
        finally:
            for peer in peers:
                peer.writer.transport.abort()


# --- framing


async def test_trailers_are_no_headers_and_the_connection_goes_on() -> None:
    async with served() as connect:
        peer = await connect()
        trailers = b"Authorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\nIf-Match: *\r\n"
        await peer.send(CHUNKED + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n", GET % b"next")
        method, _, size, headers = await peer.understood()
        assert (method, size) == ("PUT", 3)
        assert [name for name, _ in headers] == ["host", "transfer-encoding"]
        assert (await peer.understood())[1] == "/next"


@pytest.mark.parametrize(
    ("opening", "piece"),
    [
        (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        (b"GET / HTTP/1.1\r\n", b"a" * 64),
        (b"GET /", b"a" * 64),
        (b"", b"\r\n"),
        (CHUNKED + b"0\r\n", b"a: b\r\n"),
        (CHUNKED + b"0\r\n", b"a" * 64),
        (CHUNKED + b"0\r\na: ", b"a" * 64),
        (CHUNKED + b"3;", b"a" * 64),
        (CHUNKED + b"3;a=", b"a" * 64),
        (CHUNKED, b"0" * 64),
    ],
)
async def test_a_head_or_trailers_without_end_close_the_connection(
    opening: bytes, piece: bytes
) -> None:
    async with served() as connect:
        peer = await connect()
        try:
            await peer.send(opening, *[piece * 100] * (2 + 4 * HEAD_BYTES_MAX // len(piece) // 100))
        except ConnectionError:
            return
        assert not (left := await peer.closed()) or left.startswith(b"HTTP/1.1 400 ")


async def test_many_small_chunks_are_a_body_and_no_overhead() -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(CHUNKED, b"1\r\nx\r\n" * 100_000, b"0\r\n\r\n")
        assert (await peer.understood())[2] == 100_000


async def test_small_chunks_do_not_pay_for_endless_trailers() -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(CHUNKED, b"1\r\nx\r\n" * 100_000, b"0\r\n")
        assert await peer.flooded(b"a: b\r\n" * 1000, 200)


async def test_requests_sent_at_once_are_answered_in_order() -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(b"".join(GET % b"%d" % n for n in range(20_000)))
        for n in range(20_000):
            assert (await peer.understood())[1] == f"/{n}"


async def test_what_follows_cannot_be_parsed_after_the_answer_to_what_came_before() -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(GET % b"first" + GET % b"second" + b"no HTTP\r\n\r\n")
        assert [(await peer.understood())[1] for _ in range(2)] == ["/first", "/second"]
        assert await peer.closed() == b""


@pytest.mark.parametrize("body", [b"", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_an_upgrade_is_ignored_and_a_body_stays_a_body(body: bytes) -> None:
    head = (
        b"PUT /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAA\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    async with served() as connect:
        for pieces in ([head + body + GET % b"next"], [head, body, GET % b"next"]):
            peer = await connect()
            await peer.send(*pieces)
            assert (await peer.understood())[:3] == ["PUT", "/x", len(body)]
            assert (await peer.understood())[:2] == ["GET", "/next"]


async def test_a_websocket_is_not_opened() -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(
            b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert (await peer.understood())[1] == "/x"


@pytest.mark.parametrize(
    "request_",
    [
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/3.0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        CHUNKED + b"x\r\n",
    ],
)
async def test_what_is_no_http_is_answered_400_and_closed(request_: bytes) -> None:
    async with served() as connect:
        peer = await connect()
        await peer.send(request_)
        status, body = await peer.answer()
        assert (status, json.loads(body)["status"]) == (400, 400)
        assert await peer.closed() == b""


async def test_a_body_is_invited_only_once_it_is_read() -> None:
    head = b"PUT /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with served() as connect:
        peer = await connect()
        await peer.send(head % b"x")
        assert await peer.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await peer.send(b"abc")
        assert (await peer.understood())[2] == 3
        await peer.send(head % b"early")
        assert (await peer.understood())[2] == 0, "no invitation came before"


async def test_a_body_after_its_answer_is_bounded() -> None:
    async with served() as connect:
        peer = await connect()
        size = 64 * UNREAD_BYTES_MAX
        await peer.send(b"PUT /early HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        assert (await peer.understood())[2] == 0
        assert await peer.flooded(b"x" * UNREAD_BYTES_MAX, 64)


# --- deadlines


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"GET / HTTP/1.1\r\nHost",
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"0\r\na: b",
        b"PUT /early HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        GET % b"idle",
    ],
)
async def test_a_peer_that_is_too_slow_is_disconnected(sent: bytes) -> None:
    async with served(SLOW) as connect:
        peer = await connect()
        await peer.send(sent)
        await peer.closed()


async def test_a_peer_that_does_not_read_its_answer_is_disconnected() -> None:
    async with served(SLOW) as connect:
        peer = await connect()
        peer.writer.transport.pause_reading()
        await peer.send(GET % b"large")
        async with asyncio.timeout(30):
            while not peer.writer.transport.is_closing():
                await asyncio.sleep(0.2)
                with suppress(ConnectionError):
                    await peer.send(b"\r\n")
        other = await connect()
        await other.send(GET % b"x")
        assert (await other.understood())[1] == "/x"


async def test_a_body_at_a_fair_rate_is_received() -> None:
    limits = ConnectionLimits(head_s=0.2, window_s=1.0, body_bytes_per_s=10)
    async with served(limits) as connect:
        peer = await connect()
        await peer.send(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n")
        for _ in range(30):
            await asyncio.sleep(0.1)
            await peer.send(b"x" * 10)
        assert (await peer.understood())[2] == 300


# --- numbers


async def test_one_address_cannot_use_up_the_connections_of_others() -> None:
    async with served(ConnectionLimits(per_address_max=3)) as connect:
        for _ in range(3):
            peer = await connect()
            await peer.send(GET % b"x")
            await peer.understood()
        status, body = await (await connect()).answer()
        assert (status, json.loads(body)["status"]) == (503, 503)
        peer.writer.close()
        await peer.writer.wait_closed()
        async with asyncio.timeout(10):
            while True:
                again = await connect()
                await again.send(GET % b"again")
                if (await again.answer())[0] == 200:
                    break


async def test_a_trusted_proxy_is_not_limited() -> None:
    limits = ConnectionLimits(per_address_max=3, proxies=TrustedProxies(["127.0.0.0/8"]))
    async with served(limits) as connect:
        for _ in range(8):
            peer = await connect()
            await peer.send(GET % b"x")
            await peer.understood()


async def test_beyond_the_total_the_connection_that_waited_longest_is_closed() -> None:
    async with served(ConnectionLimits(connections_max=3)) as connect:
        peers = []
        for _ in range(4):
            peers.append(await connect())
            await peers[-1].send(GET % b"x")
            await peers[-1].understood()
        assert await peers[0].closed() == b""
        for peer in peers[1:]:
            await peer.send(GET % b"again")
            assert (await peer.understood())[1] == "/again"
