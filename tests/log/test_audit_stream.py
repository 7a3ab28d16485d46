"""The audit stream on NATS: bounded, cannot be emptied, and stores a repeated entry once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError

from secaplane.audit.entries import Entry, EntryCaller, decode, entry, subject
from secaplane.audit.stream import AuditLimits, AuditStream, PendingEntry, PublishResult
from secaplane.eventlog.jetstream.api import READ_BATCH_MAX
from secaplane.eventlog.log import LogUnavailable
from tests.servers import STREAM, connected

LIMITS = AuditLimits(entries_per_caller=20, bytes_max=1024 * 1024, days=7)


@pytest.fixture
async def stream(nats_client: Client) -> AsyncIterator[AuditStream]:
    made = AuditStream(nats_client, stream=STREAM)
    with suppress(NotFoundError):
        await nats_client.jetstream().delete_stream(made.name)
    await made.create(LIMITS)
    yield made
    await nats_client.jetstream().delete_stream(made.name)


def refused(sub: str, number: int = 0) -> Entry:
    return entry(
        "forbidden",
        time=datetime.now(UTC),
        request="r",
        client_address="203.0.113.9",
        caller=EntryCaller("https://id.example.org", sub, "t"),
        verb="get",
        path=f"/{number}",
    )


def flood(sub: str, number: int) -> list[PendingEntry]:
    return [PendingEntry(f"{sub}-{n}", refused(sub, n)) for n in range(number)]


async def read(stream: AuditStream, since: datetime | None = None) -> list[Entry]:
    return [decode(each) async for each in stream.read(since=since)]


async def test_published_entries_are_read_in_order(stream: AuditStream) -> None:
    published = flood("jane", 5)
    assert await read(stream) == []
    assert await stream.publish(published) == [PublishResult.STORED] * 5
    assert await read(stream) == [each.entry for each in published]


async def test_the_stream_is_read_to_its_end_over_many_batches(stream: AuditStream) -> None:
    number = 2 * READ_BATCH_MAX + 1
    for n in range(0, number, 100):
        batch = [
            PendingEntry(f"{m}", refused(f"caller-{m}")) for m in range(n, min(n + 100, number))
        ]
        await stream.publish(batch)
    assert len(await read(stream)) == number


async def test_reading_starts_at_a_time(stream: AuditStream) -> None:
    await stream.publish(flood("early", 3))
    await asyncio.sleep(0.05)
    since = datetime.now(UTC)
    await stream.publish(flood("late", 3))
    assert {each.caller.sub for each in await read(stream, since)} == {"late"}
    assert await read(stream, since + timedelta(hours=1)) == []
    assert len(await read(stream, since - timedelta(hours=1))) == 6


async def test_a_caller_evicts_only_its_own_entries(stream: AuditStream) -> None:
    await stream.publish(flood("jane", 3))
    for n in range(10):
        batch = [PendingEntry(f"m-{n}-{m}", refused("mallory", 100 * n + m)) for m in range(100)]
        await stream.publish(batch)
    found = await read(stream)
    assert [each.path for each in found if each.caller.sub == "jane"] == ["/0", "/1", "/2"]
    mallory = [each.path for each in found if each.caller.sub == "mallory"]
    assert mallory == [f"/{n}" for n in range(980, 1000)]


async def test_the_whole_stream_is_bounded(stream: AuditStream, nats_client: Client) -> None:
    for n in range(40):
        await stream.publish([PendingEntry(f"{n}-{m}", refused(f"c-{n}-{m}")) for m in range(100)])
    state = (await nats_client.jetstream().stream_info(stream.name)).state
    assert state.bytes <= LIMITS.bytes_max
    found = await read(stream)
    assert found[-1].caller.sub.startswith("c-39-")
    assert len(found) < 4000


async def test_an_entry_published_twice_is_stored_once(stream: AuditStream) -> None:
    published = flood("jane", 5)
    await stream.publish(published)
    assert await stream.publish(published) == [PublishResult.STORED] * 5
    assert len(await read(stream)) == 5


async def test_an_existing_stream_keeps_its_limits(stream: AuditStream) -> None:
    await stream.publish(flood("jane", 5))
    await stream.create(AuditLimits(entries_per_caller=1, bytes_max=2 * 1024 * 1024, days=1))
    assert await stream.limits() == LIMITS
    assert len(await read(stream)) == 5


async def test_entries_cannot_be_deleted(stream: AuditStream, nats_client: Client) -> None:
    """Not even by a user with every permission; deleting the whole stream is possible."""
    await stream.publish(flood("jane", 5))
    context = nats_client.jetstream()
    with pytest.raises(APIError, match="not permitted"):
        await context.purge_stream(stream.name)
    with pytest.raises(APIError, match="not permitted"):
        await context.delete_msg(stream.name, 1)
    rollup = {"Nats-Rollup": "all"}
    with pytest.raises(APIError, match="rollup"):
        await context.publish(subject(refused("jane")), b"{}", headers=rollup)
    assert len(await read(stream)) == 5


async def test_a_missing_stream_is_unavailable(nats_client: Client) -> None:
    absent = AuditStream(nats_client, stream="ABSENT")
    with pytest.raises(LogUnavailable):
        await read(absent)
    with pytest.raises(LogUnavailable):
        await absent.limits()


async def test_a_closed_connection_is_unavailable(nats_url: str) -> None:
    async with connected(nats_url) as client:
        gone = AuditStream(client, stream=STREAM)
    assert await gone.publish(flood("jane", 2)) == [PublishResult.UNANSWERED] * 2
    with pytest.raises(LogUnavailable):
        await read(gone)
