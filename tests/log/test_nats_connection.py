"""The connection to NATS goes on reading after a flush that its caller gave up, and reconnects at
once when reading ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

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
