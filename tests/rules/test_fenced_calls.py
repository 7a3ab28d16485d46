"""Calls of the cloud under a lease: nothing is sent after its end, also in the middle of a call."""

import asyncio
from contextlib import suppress

import pytest

from secaplane.plugins.plugin import Fence
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.leases.lease import LeaseLost
from tests.virtual_time import in_virtual_time


class Cloud:
    """A plugin whose call sends two requests; the lease may be over after the first."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.closed = False
        self.over = False

    def require(self) -> None:
        if self.over:
            raise LeaseLost("over")

    async def call(self, fence: Fence) -> str:
        try:
            for request in ("first", "second"):
                self.sent.append(f"{request} {fence.epoch}.{fence.number}")
                await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)  # connections are closed
            self.closed = True
        return "ready"

    async def stubborn(self, _: Fence) -> str:
        """Hides its cancellation."""
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1)
        return "ready"


@in_virtual_time
async def test_a_call_under_a_lease_is_answered() -> None:
    cloud = Cloud()
    fences = FenceSource(7, cloud.require)
    assert await fences.call(cloud.call) == "ready"
    assert cloud.sent == ["first 7.1", "second 7.1"]


@in_virtual_time
async def test_no_call_begins_without_a_lease() -> None:
    cloud = Cloud()
    cloud.over = True
    with pytest.raises(LeaseLost):
        await FenceSource(7, cloud.require).call(cloud.call)
    assert cloud.sent == []


@in_virtual_time
async def test_a_call_in_progress_sends_nothing_more_when_the_lease_is_over() -> None:
    cloud = Cloud()
    asyncio.get_running_loop().call_later(0.5, lambda: setattr(cloud, "over", True))
    with pytest.raises(LeaseLost):
        await FenceSource(7, cloud.require).call(cloud.call)
    assert cloud.sent == ["first 7.1"]
    assert cloud.closed


@in_virtual_time
async def test_the_answer_of_a_call_that_outlasts_the_lease_is_not_used() -> None:
    cloud = Cloud()
    asyncio.get_running_loop().call_later(0.5, lambda: setattr(cloud, "over", True))
    with pytest.raises(LeaseLost):
        await FenceSource(7, cloud.require).call(cloud.stubborn)


@in_virtual_time
async def test_a_cancellation_from_outside_stays_one() -> None:
    cloud = Cloud()
    task = asyncio.create_task(FenceSource(7, cloud.require).call(cloud.call))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cloud.closed


@in_virtual_time
async def test_the_first_call_waits_until_requests_of_the_former_holder_have_timed_out() -> None:
    cloud = Cloud()
    fences = FenceSource(7, cloud.require, first_call_at=5.0)
    call = asyncio.create_task(fences.call(cloud.call))
    await asyncio.sleep(4.9)
    assert cloud.sent == []
    await asyncio.sleep(0.2)
    assert cloud.sent == ["first 7.1"]
    await call
