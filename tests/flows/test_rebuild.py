"""The read model is made anew, and nobody who reads it notices."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import Supervisor
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import Scene, scene_of, until
from tests.flows.read_models import assert_same, rows
from tests.flows.rebuilding import (
    Callers,
    disk,
    held_up,
    later,
    said,
    started,
    there,
    waits,
)
from tests.positions import STREAM
from tests.stand import Stand

NAMES = [f"old-{n:02}" for n in range(20)]
MADE = r"rm_\d+ holds \d+ events, made in \d+\.\d s"


@pytest.fixture
async def scene(stand: Stand) -> AsyncIterator[Scene]:
    async with scene_of(stand) as made:
        await made.client.put(at("workspace", "busy"), {"spec": {}})
        for name in NAMES:
            await made.client.put(disk(name), VOLUME)
        yield made


async def test_a_rebuild_under_load_is_noticed_by_nobody(scene: Scene) -> None:
    callers = Callers(scene.stand.house.url, scene.stand.token, NAMES)
    async with callers.busy():
        await callers.more(50)
        status, lines = await said(await started(scene.stand, "rebuild"))
        assert (status, len(lines)) == (0, 1), lines
        assert re.fullmatch(MADE, lines[0])
        assert lines[0].startswith("rm_2 ")
        await callers.more(100)
        await asyncio.sleep(1.5)  # the switch was two seconds ago before that
        status, lines = await said(await started(scene.stand, "retire"))
        assert (status, lines) == (0, ["rm_1 is gone"])
        await callers.more(100)
    assert await there(scene) == ["rm_2"]


async def test_what_was_made_anew_is_what_was_there(scene: Scene) -> None:
    """Both are kept until one is retired."""
    (before,) = await there(scene)
    await said(await started(scene.stand, "rebuild"))
    _, after = await there(scene)
    for name in NAMES[:3]:
        await scene.client.delete(disk(name))
        await scene.client.gone(disk(name))
    await at_rest(scene, after)
    async with scene.pool(before) as old, scene.pool(after) as new:
        assert_same(await rows(old), await rows(new))
    assert (await said(await started(scene.stand, "retire")))[1] == [f"{before} is gone"]


async def at_rest(scene: Scene, read_model: str) -> None:
    async def quiet() -> bool:
        async with scene.pool(read_model) as pool:
            busy = await pool.fetchval("select exists (select from resources where unfinished)")
            checkpoint = await pool.fetchval("select min(position) from checkpoints")
            return not busy and checkpoint == (await scene.log.end(STREAM)).sequence

    await until(quiet, "everything is at rest")


async def test_one_that_was_killed_leaves_nothing_behind_and_one_at_a_time_is_enough(
    scene: Scene,
) -> None:
    (before,) = await there(scene)
    half = f"rm_{int(before[3:]) + 1}"
    for _ in range(2):
        async with held_up(scene, before):
            killed = await started(scene.stand, "rebuild")
            await waits(scene)
            killed.kill()
            await killed.wait()
        answer = await scene.client.get(disk(NAMES[-1]))
        assert answer.status == 200
    async with held_up(scene, before):
        first = await started(scene.stand, "rebuild")
        await waits(scene)
        refused, lines = await said(await started(scene.stand, "rebuild"))
        assert (refused, len(lines)) == (1, 1), lines
        assert "somebody else" in lines[0]
    status, lines = await said(first)
    assert status == 0
    assert re.fullmatch(MADE, lines[0])
    assert await there(scene) == [before, half]


async def test_a_release_with_other_tables_fills_its_own_and_the_former_goes_on(
    scene: Scene,
) -> None:
    stand, port = scene.stand, free_port()
    async with Supervisor(stand.folder / "logs") as children:
        await children.start(later(stand, "serve", port))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(children.ready("later-serve"))
        await children.start(later(stand, "projector"))
        await children.ready("later-serve")
        async with client_of(f"http://127.0.0.1:{port}", stand.token) as other:
            for path in (disk(), disk(NAMES[-1])):
                shown = await scene.client.get(path)
                assert (await other.get(path)).body == shown.body
            for one, another in ((scene.client, other), (other, scene.client)):
                await one.put(disk("both"), VOLUME)
                answer = await another.get(disk("both"), Secaplane_At_Least=await end(scene))
                assert answer.status == 200


async def end(scene: Scene) -> str:
    return str(await scene.log.end(STREAM))
