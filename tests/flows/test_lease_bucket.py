"""The bucket of leases on a real NATS server: compare-and-set, and partitions that move at once."""

import asyncio

import pytest
from nats.aio.client import Client

from secaplane.reconcilers.leases.bucket import NOTHING, BucketEntry, NatsBucket, RevisionConflict
from secaplane.reconcilers.leases.leases import ASSIGNMENT, Leases
from secaplane.reconcilers.leases.partitions import ALL
from tests.flows.crashing import until


async def bucket_of(client: Client, stream: str) -> NatsBucket:
    bucket = NatsBucket(client, stream=stream)
    await bucket.prepare()
    return bucket


async def test_a_write_needs_the_revision_of_its_key_and_revisions_grow_over_all_keys(
    nats_client: Client, fresh_stream: str
) -> None:
    bucket = await bucket_of(nats_client, f"{fresh_stream}-writes")
    assert await bucket.read("a") == NOTHING
    first = await bucket.write("a", b"1", after=0)
    other = await bucket.write("b", b"1", after=0)
    assert first < other < await bucket.write("a", b"2", after=first)
    for outdated in (0, first, other):
        with pytest.raises(RevisionConflict):
            await bucket.write("a", b"3", after=outdated)
    assert await bucket.read("b") == BucketEntry(other, b"1")
    written = await asyncio.gather(
        *(bucket.write("c", b"", after=0) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(each, int) for each in written) == 1


async def test_partitions_move_at_once_from_a_process_that_leaves(
    nats_client: Client, fresh_stream: str
) -> None:
    bucket = await bucket_of(nats_client, f"{fresh_stream}-moves")
    first, second = Leases(bucket), Leases(bucket)
    tasks = []
    for leases in (first, second):
        await bucket.watch(ASSIGNMENT, leases.nudge)
        tasks.append(asyncio.create_task(leases.run()))

    async def shared() -> bool:
        return {first.held, second.held} == {33, 34}

    async def moved() -> bool:
        return second.held == len(ALL)

    await until(shared, "both have their share", seconds=20)
    tasks[0].cancel()
    await first.leave()
    assert first.held == 0
    await until(moved, "the second process has everything", seconds=20)
    tasks[1].cancel()
    await second.leave()
