"""The address that the scan for drift has reached, in a NATS bucket that all processes share."""

from nats.aio.client import Client

from secaplane.readmodel.questions.settled import FIRST
from secaplane.reconcilers.drift.cursor import KEY, ScanCursor
from tests.flows.simulated_site import SMALL, a

HERE, THERE = (a("block-storage", SMALL, uid=uid).ref for uid in ("here", "there"))


async def test_the_address_survives_the_processes_that_have_reached_it(
    nats_client: Client, fresh_stream: str
) -> None:
    def process() -> ScanCursor:
        return ScanCursor(nats_client, stream=f"{fresh_stream}-scan", replicas=1)

    first, second = process(), process()
    assert await first.load() == FIRST
    await first.save(HERE)
    assert await second.load() == HERE
    await second.save(THERE)
    await first.save(HERE)
    assert await process().load() == HERE
    await first.save(FIRST)
    assert await process().load() == FIRST


async def test_an_address_that_cannot_be_read_costs_a_part_of_a_round(
    nats_client: Client, fresh_stream: str
) -> None:
    cursor = ScanCursor(nats_client, stream=f"{fresh_stream}-odd", replicas=1)
    await cursor.load()
    bucket = await nats_client.jetstream().key_value(f"{fresh_stream}-odd-drift")
    for odd in (b"", b"{", b'{"kind": 1}'):
        await bucket.put(KEY, odd)
        assert await cursor.load() == FIRST
    await cursor.save(HERE)
    assert await cursor.load() == HERE


async def test_without_a_bucket_the_scan_goes_on(nats_client: Client, fresh_stream: str) -> None:
    """A key that was deleted, or never made: nothing is kept, and nothing is raised."""
    cursor = ScanCursor(nats_client, stream=f"{fresh_stream}-none", replicas=1)
    await cursor.save(HERE)
    assert await cursor.load() == FIRST
