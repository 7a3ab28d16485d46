"""The connection to NATS goes on reading after a flush that its caller gave up, reconnects at once
when reading ends, leaves no connection of a refused attempt, and is one user at all servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from urllib.parse import urlparse

import pytest
from nats.aio.client import Srv

from secaplane.eventlog.jetstream.connection import NatsConnection

ANSWERED_S_MAX = 3.0
"""Less than the time after which unanswered pings end a connection, 10 s with the settings of a
process."""


@pytest.fixture
def reconnected() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def connection(nats_url: str, reconnected: asyncio.Event) -> AsyncIterator[NatsConnection]:
    async def note() -> None:
        reconnected.set()

    made = NatsConnection()
    await made.connect(
        nats_url,
        ping_interval=5,
        max_outstanding_pings=2,
        reconnect_time_wait=0,
        reconnected_cb=note,
    )
    try:
        yield made
    finally:
        await made.close()


async def _answered(connection: NatsConnection) -> bool:
    """True if the server answers a question."""
    with suppress(Exception):
        await connection.jetstream(timeout=0.5).account_info()
        return True
    return False


async def test_a_flush_that_is_given_up_does_not_end_reading(connection: NatsConnection) -> None:
    for _ in range(3):
        flushing = asyncio.create_task(connection.flush())
        await asyncio.sleep(0)  # the ping is sent, and its answer is on its way
        flushing.cancel()
        with suppress(asyncio.CancelledError):
            await flushing
        assert await _answered(connection)


async def test_a_flush_after_one_that_was_given_up_waits_for_its_own_answer(
    connection: NatsConnection,
) -> None:
    flushing = asyncio.create_task(connection.flush())
    await asyncio.sleep(0)
    flushing.cancel()
    async with asyncio.timeout(ANSWERED_S_MAX):
        await connection.flush()
    assert await _answered(connection)


async def test_the_client_reconnects_at_once_when_reading_ends(
    connection: NatsConnection, reconnected: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause does not matter: a client that does not read stays connected and gets no answer."""

    async def fails(data: bytes) -> None:
        monkeypatch.undo()
        raise ArithmeticError("a fault of the parser")

    monkeypatch.setattr(connection._ps, "parse", fails)
    with suppress(Exception):
        await connection.flush(timeout=1)
    async with asyncio.timeout(ANSWERED_S_MAX):
        await reconnected.wait()
    assert await _answered(connection)


INFO = b'INFO {"server_id":"s","version":"2","max_payload":1048576,"proto":1}\r\n'


async def test_an_attempt_that_was_refused_leaves_no_connection() -> None:
    """As servers do that have just started: the first connection is lost, the second refused."""
    refused, answers = asyncio.Event(), [b"PONG\r\n", b"-ERR 'Authorization Violation'\r\n"]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        await reader.readuntil(b"PING\r\n")
        answer = answers.pop(0) if answers else b"PONG\r\n"
        writer.write(answer)
        if answer.startswith(b"-ERR"):
            await reader.read()  # until the client has closed it
            refused.set()
        elif answers:
            writer.close()
        else:
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = NatsConnection()
    async with server:
        await made.connect(f"nats://127.0.0.1:{port}", reconnect_time_wait=0)
        try:
            async with asyncio.timeout(ANSWERED_S_MAX):
                await refused.wait()
        finally:
            await made.close()


@pytest.mark.parametrize("credentials", ["writer:secret@", ""])
async def test_a_server_that_the_cluster_announces_is_asked_as_the_same_user(
    credentials: str,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    made = NatsConnection()
    async with server:
        port = server.sockets[0].getsockname()[1]
        await made.connect([f"nats://{credentials}127.0.0.1:{port}"])
        made._current_server = Srv(urlparse("nats://127.0.0.2:4222"))
        sent = made._connect_command().replace(b" ", b"")
        await made.close()
    assert (b'"user":"writer"' in sent) is (b'"pass":"secret"' in sent) is bool(credentials)
