"""Fences: a process that starts later has a greater epoch, and a cloud obeys no older call."""

from pathlib import Path

import pytest

from secaplane.plugins.plugin import Absent, Fence, FenceRejected, Observed, Ready, TerminalError
from secaplane.reconcilers.fences import FenceSource
from tests.flows.simulated_site import IN_ZONE_A, LARGE, OFF, SMALL, a, running
from tests.positions import nth


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cloud.db"


def test_the_epoch_goes_before_the_number() -> None:
    assert Fence(1, 9) < Fence(1, 10) < Fence(2, 1)
    source = FenceSource(3)
    assert [source.next(), source.next()] == [Fence(3, 1), Fence(3, 2)]


async def test_a_call_of_an_older_process_changes_nothing(file: Path) -> None:
    volume, instance = a("block-storage", SMALL), a("instance", IN_ZONE_A, uid="i")
    larger = a("block-storage", LARGE)
    async with running(file) as site:
        await site.plugin.ensure(volume, {}, Fence(2, 1))
        await site.plugin.ensure(instance, {}, Fence(2, 1))
        before = await site.things()
        for call in (
            site.plugin.ensure(larger, {}, Fence(1, 99)),
            site.plugin.act(instance, {}, "start", nth(5), Fence(1, 99)),
            site.plugin.remove(volume, Fence(1, 99)),
            site.plugin.observe(volume, Fence(1, 99)),
        ):
            with pytest.raises(FenceRejected):
                await call
        assert await site.things() == before
        assert await site.plugin.ensure(larger, {}, Fence(2, 2)) == Ready({"sizeGB": 20})


async def test_a_fence_is_remembered_over_a_restart_and_after_a_refusal(file: Path) -> None:
    """A refused change still shows that a newer process has called."""
    volume = a("block-storage", SMALL)
    async with running(file) as site:
        refused = await site.plugin.ensure(a("block-storage", SMALL | UNKNOWN), {}, Fence(2, 1))
        assert isinstance(refused, TerminalError)
    async with running(file) as site:
        with pytest.raises(FenceRejected):
            await site.plugin.ensure(volume, {}, Fence(1, 1))
        assert await site.things() == []


UNKNOWN = {"skuRef": {"resource": "skus/none"}}


async def test_a_removed_uid_is_remembered_over_a_restart(file: Path) -> None:
    volume, never = a("block-storage", SMALL), a("block-storage", SMALL, uid="never")
    async with running(file) as site:
        await site.ensure(volume)
        assert await site.remove(volume) == Ready()
        assert await site.remove(never) == Ready()
    async with running(file) as site:
        for each in (volume, never):
            outcome = await site.ensure(each)
            assert isinstance(outcome, TerminalError)
            assert outcome.reason == "Removed"
            assert await site.remove(each) == Ready()
        assert await site.things() == []
        assert (await site.counts()).removes == {"u1": 1}


async def test_a_removal_under_way_is_not_reversed(file: Path) -> None:
    volume = a("block-storage", SMALL)
    async with running(file) as site:
        await site.ensure(volume)
        await site.misbehave(delay_s=60)
        await site.remove(volume)
        assert isinstance(await site.ensure(volume), TerminalError)
        assert [thing.terminating for thing in await site.things()] == [True]


async def test_what_is_observed_changes_nothing(file: Path) -> None:
    instance = a("instance", IN_ZONE_A)
    async with running(file) as site:
        assert await site.plugin.observe(instance, Fence(9, 9)) == Absent()
        assert await site.plugin.ensure(instance, {}, Fence(1, 1)) == OFF
        assert await site.plugin.observe(instance, Fence(1, 1)) == Observed({"powerState": "off"})
