"""Read models are rebuilt and retired while callers read and write."""

import asyncio
import re
from collections.abc import AsyncIterator

import pytest

from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.dev.plane import free_port
from secaplane.cli.dev.supervisor import Supervisor
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.history import HISTORY
from secaplane.readmodel.schema.resources import RESOURCES
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import Scene, scene_of, until
from tests.flows.read_models import assert_same, rows_of
from tests.flows.rebuilding import (
    Callers,
    database,
    disk,
    existing,
    held_up,
    later,
    said,
    started,
    waits,
)
from tests.plane import RunningPlane
from tests.positions import STREAM

NAMES = [f"old-{n:02}" for n in range(20)]
REACHED = r"replica main: (resources|history|activity)_\d+ reached SECA[-a-z]*:\d+ in \d+\.\d s"


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
        await made.client.put(at("workspace", "busy"), {"spec": {}})
        for name in NAMES:
            await made.client.put(disk(name), VOLUME)
        yield made


async def test_callers_do_not_notice_a_rebuild_under_load(scene: Scene) -> None:
    callers = Callers(scene.plane.dev.url, scene.plane.token, NAMES)
    async with callers.busy():
        await callers.more(50)
        status, lines = await said(await started(scene.plane, "rebuild"))
        assert (status, len(lines)) == (0, 3), lines
        assert all(re.fullmatch(REACHED, line) for line in lines)
        assert [line.split()[2] for line in lines] == ["resources_2", "history_2", "activity_2"]
        await callers.more(100)
        await asyncio.sleep(1.5)  # the switch was two seconds ago before that
        status, lines = await said(await started(scene.plane, "retire"))
        assert (status, lines) == (
            0,
            [f"replica main: {each}_1 dropped" for each in ("resources", "history", "activity")],
        )
        await callers.more(100)
    assert await existing(scene) == ["resources_2", "history_2"]


@pytest.mark.parametrize("group", [RESOURCES, HISTORY], ids=lambda group: group.name)
async def test_one_group_is_rebuilt_alone_and_has_the_same_rows(
    scene: Scene, group: TableGroup
) -> None:
    """The former read model is written, too, until it is retired; the other group is untouched."""
    before = await existing(scene)
    status, lines = await said(await started(scene.plane, "rebuild", "--group", group.name))
    assert (status, len(lines)) == (0, 1), lines
    (after,) = set(await existing(scene)) - set(before)
    assert lines[0].startswith(f"replica main: {after} reached ")
    (former,) = [name for name in before if name.startswith(group.name)]
    for name in NAMES[:3]:
        await scene.client.delete(disk(name))
        await scene.client.gone(disk(name))
        await scene.client.made(disk(name), VOLUME)
    await at_rest(scene, former, after)
    url = scene.plane.dev.postgres(OWNER)
    old = await tables.open_pool(url, schema=former)
    new = await tables.open_pool(url, schema=after)
    assert_same(await rows_of(old, group.name), await rows_of(new, group.name))
    await asyncio.gather(old.close(), new.close())
    retired = await said(await started(scene.plane, "retire", "--group", group.name))
    assert retired == (0, [f"replica main: {former} dropped"])
    assert set(await existing(scene)) == (set(before) - {former}) | {after}


async def test_an_unknown_group_is_refused(scene: Scene) -> None:
    status, lines = await said(await started(scene.plane, "rebuild", "--group", "bills"))
    assert status == 2
    assert lines == [
        "secaplane: there is no projection group bills; there are resources, history, activity"
    ]


async def at_rest(scene: Scene, *read_models: str) -> None:
    """Wait until some read models have reached the end of a log in which nothing happens."""
    resources = next(name for name in await existing(scene) if name.startswith("resources"))

    async def quiet() -> bool:
        async with database(scene) as connection:
            unsettled = f"select exists (select from {resources}.resources where unsettled)"
            reached = [
                await connection.fetchval(f"select min(position) from {name}.checkpoints")
                for name in (resources, *read_models)
            ]
            end = (await scene.log.end(STREAM)).sequence
            return not await connection.fetchval(unsettled) and set(reached) == {end}

    await until(quiet, "everything is at rest")


async def test_a_killed_rebuild_leaves_nothing_behind_and_a_second_one_is_refused(
    scene: Scene,
) -> None:
    before, history = await existing(scene)
    half = RESOURCES.read_model(RESOURCES.number(before) + 1)
    rebuild = ("rebuild", "--group", "resources")
    for _ in range(2):
        async with held_up(scene, before):
            killed = await started(scene.plane, *rebuild)
            await waits(scene)
            killed.kill()
            await killed.wait()
        answer = await scene.client.get(disk(NAMES[-1]))
        assert answer.status == 200
    async with held_up(scene, before):
        first = await started(scene.plane, *rebuild)
        await waits(scene)
        refused, lines = await said(await started(scene.plane, *rebuild))
        assert (refused, len(lines)) == (1, 1), lines
        assert "another process" in lines[0]
    status, lines = await said(first)
    assert status == 0
    assert re.fullmatch(REACHED, lines[0])
    assert await existing(scene) == [before, half, history]


async def test_a_release_with_another_layout_fills_its_own_read_model_beside_the_former(
    scene: Scene,
) -> None:
    own_plane, port = scene.plane, free_port()
    async with Supervisor(own_plane.folder / "logs") as children:
        await children.start(later(own_plane, "serve", port))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(children.ready("later-serve"))
        await children.start(later(own_plane, "projector"))
        await children.ready("later-serve")
        async with client_of(f"http://127.0.0.1:{port}", own_plane.token) as other:
            for path in (disk(), disk(NAMES[-1])):
                shown = await scene.client.get(path)
                assert (await other.get(path)).body == shown.body
            for one, another in ((scene.client, other), (other, scene.client)):
                await one.put(disk("both"), VOLUME)
                answer = await another.get(disk("both"), Secaplane_At_Least=await end(scene))
                assert answer.status == 200


async def end(scene: Scene) -> str:
    return str(await scene.log.end(STREAM))
