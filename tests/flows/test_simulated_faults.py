"""Injected faults of the simulated cloud."""

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from secaplane.plugins.plugin import CloudUnavailable, InProgress, Ready
from secaplane.plugins.simulated import plugin
from secaplane.plugins.simulated.wire import Faults
from tests.flows.simulated_site import IN_ZONE_A, LARGE, OFF, ON, SMALL, a, running, serve
from tests.positions import nth


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cloud.db"


async def test_a_delay_is_counted_from_when_the_change_began(file: Path) -> None:
    now_s = 1000.0
    async with running(file, faults={"delay_s": 10}, clock=lambda: now_s) as site:
        assert await site.ensure(a("block-storage", SMALL)) == InProgress(10)
        now_s = 1004
        assert await site.ensure(a("block-storage", SMALL)) == InProgress(6)
        now_s = 1010
        assert await site.ensure(a("block-storage", SMALL)) == Ready({"sizeGB": 10})
        assert await site.ensure(a("block-storage", LARGE)) == InProgress(10)
        await site.misbehave(delay_s=10, requeue_after_s=0.5)
        assert await site.ensure(a("block-storage", LARGE)) == InProgress(0.5)


async def test_restarts_and_removals_are_delayed_too(file: Path) -> None:
    now_s = 1000.0
    instance = a("instance", IN_ZONE_A, power="on")
    async with running(file, clock=lambda: now_s) as site:
        await site.ensure(instance)
        await site.misbehave(delay_s=10)
        now_s = 2000
        assert await site.act(instance, "restart", nth(5)) == InProgress(10)
        now_s = 2010
        assert await site.act(instance, "restart", nth(5)) == ON
        assert await site.remove(instance) == InProgress(10)
        now_s = 2020
        assert await site.remove(instance) == Ready()
        assert await site.things() == []


async def test_in_an_outage_every_call_raises_and_nothing_is_done(file: Path) -> None:
    workspace = a("workspace", {})
    async with running(file, faults={"outage": True}) as site:
        for call in (
            site.ensure(workspace),
            site.remove(workspace),
            site.act(workspace, "start", nth(1)),
            site.plugin.catalogue(),
        ):
            with pytest.raises(CloudUnavailable, match="503"):
                await call
        await site.misbehave()
        assert await site.things() == []
        assert await site.ensure(workspace) == Ready()


async def test_a_change_whose_answer_was_lost_is_not_made_again(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.catalogue()
        await site.misbehave(lose_answers=2)
        for _ in range(2):
            with pytest.raises(CloudUnavailable):
                await site.ensure(a("instance", IN_ZONE_A))
        assert await site.ensure(a("instance", IN_ZONE_A)) == OFF
        assert (await site.counts()).creates == {"u1": 1}
        assert await site.faults() == Faults()


async def test_a_change_is_made_before_its_answer_is_delayed(file: Path) -> None:
    async with running(file, faults={"hold_answers_s": 0.6}) as site, asyncio.TaskGroup() as group:
        asked = group.create_task(site.ensure(a("workspace", {})))
        await asyncio.sleep(0.2)
        assert (await site.counts()).creates == {"u1": 1}
        assert not asked.done()
        assert await asked == Ready()


async def test_a_client_that_dies_before_a_delayed_answer_does_no_harm(file: Path) -> None:
    async with running(file, faults={"hold_answers_s": 0.1}) as site:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await site.ensure(a("workspace", {}))
        await asyncio.sleep(0.1)
        assert await site.ensure(a("workspace", {})) == Ready()
        assert (await site.counts()).creates == {"u1": 1}


async def test_a_call_to_a_silent_cloud_times_out(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin, "REQUEST_S_MAX", 0.05)
    async with running(file, faults={"hold_answers_s": 0.3}) as site:
        with pytest.raises(TimeoutError):
            await site.ensure(a("workspace", {}))


async def test_faults_survive_a_restart_until_others_are_configured(file: Path) -> None:
    async with running(file, faults={"delay_s": 3, "lose_answers": 1}) as site:
        with pytest.raises(CloudUnavailable):
            await site.ensure(a("workspace", {}))
    async with running(file) as site:
        assert await site.faults() == Faults(delay_s=3)
    async with running(file, faults={}) as site:
        assert await site.faults() == Faults()


@pytest.mark.parametrize("wrong", [{"delay": 1}, {"delay_s": -1}, {"requeue_after_s": 0}])
async def test_an_unknown_fault_is_refused(file: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\$|unknown field"):
        await serve(file, faults=wrong)
    async with running(file) as site:
        with pytest.raises(aiohttp.ClientResponseError, match="Bad Request"):
            await site.misbehave(**wrong)
