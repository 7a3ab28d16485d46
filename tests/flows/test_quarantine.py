"""One damaged event cannot stop a projector: its resource goes into quarantine."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest
from asyncpg import Pool
from msgspec.structs import replace
from nats.aio.client import Client as Nats

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import OWNER
from secaplane.cli.processes import logs
from secaplane.eventlog import codec
from secaplane.eventlog.codec import NewEvent, encode
from secaplane.kinds import KINDS
from secaplane.model.actor import RECONCILER
from secaplane.model.events import AnyEvent, Closed, Created, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref, State
from secaplane.projector.retry import retry
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import CHECKPOINT, Scene, scene_of, until
from tests.flows.damaging import World, garble, world_on
from tests.flows.read_models import GROUPS, ReadModels, Rows, assert_same, read_models
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.plane import shared_plane
from tests.positions import nth
from tests.servers import STREAM

GARBAGE = b'{"v":1,"type":"created"\xff'
AMENDED: Json = VOLUME["spec"] | {"sizeGB": 30}
DAMAGED = {"garbled", "unborn", "amended"}


def disk(name: str) -> Ref:
    return KINDS["block-storage"].ref({"tenant": "demo", "workspace": "damaged"}, name)


def url(name: str) -> str:
    return at("block-storage", name, workspace="damaged")


# --- a whole control plane


async def test_damaged_resources_are_quarantined_until_a_release_can_apply_their_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with shared_plane(Config()) as own_plane:
        async with scene_of(own_plane) as scene:
            await scene.client.made(at("workspace", "damaged"), {"spec": {}})
            for name in ("garbled", "amended"):
                await scene.client.made(url(name), VOLUME)
            await scene.at_rest()
            await damage(scene)
            await others_go_on(scene)
            await later_events_are_left_out(scene)
            failed = await retried(scene)
            assert {ref.name for ref in failed} == DAMAGED
            assert "amended" in failed[disk("amended")]
            await only_damaged_resources_answer_an_error(scene, DAMAGED)
            await damage_is_logged_without_a_traceback(scene)
            monkeypatch.setitem(codec._bodies, "amended", codec._bodies["updated"])
            failed = await retried(scene)
            assert {ref.name for ref in failed} == DAMAGED - {"amended"}
            await is_repaired(scene)
            await callers_and_operators_close_what_is_left(scene)


async def damage(scene: Scene) -> None:
    """Three ways: no event at all, an update without a creation, an event of a later release."""
    await garble(scene.log, disk("garbled"), GARBAGE)
    await append(scene, "unborn", Updated(spec=VOLUME["spec"]))
    amended = await written(scene, "amended", Updated(spec=AMENDED))
    amended = msgspec.structs.replace(amended, previous=await scene.log.last(disk("amended")))
    later = encode(amended, STREAM)
    later = later.replace(b'"type":"updated"', b'"type":"amended"')
    await garble(scene.log, disk("amended"), later)


async def written(scene: Scene, name: str, event: AnyEvent) -> NewEvent:
    """An event as the control plane would write it, in the present life of this name."""
    async with scene.pool() as pool:
        uid = await pool.fetchval("select uid from resources where name = $1", name)
    return replace(new_event(disk(name), event), uid=uid or "u", actor=RECONCILER)


async def append(scene: Scene, name: str, event: AnyEvent) -> Position:
    last = await scene.log.last(disk(name))
    return (
        await scene.log.append(
            msgspec.structs.replace(await written(scene, name, event), previous=last)
        )
    ).position


async def others_go_on(scene: Scene) -> None:
    await scene.client.made(url("fine"), VOLUME)
    await only_damaged_resources_answer_an_error(scene, DAMAGED)
    await until(lambda: remarked(scene, len(DAMAGED)), "readiness names the quarantine")


async def remarked(scene: Scene, number: int) -> bool:
    """The projector names the number of quarantined resources; it is ready all the same."""
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert (answer.status, answer.json["ready"], answer.json["reasons"]) == (200, True, [])
    return bool(answer.json["remarks"] == [f"{number} resources are in quarantine"])


async def only_damaged_resources_answer_an_error(scene: Scene, damaged: set[str]) -> None:
    for name in (*DAMAGED, "fine"):
        answer = await scene.client.get(url(name))
        assert answer.status == (500 if name in damaged else 200), name
        if name in damaged:
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert answer.json["status"] == 500
            assert name not in answer.json["detail"]
            assert "decoded or applied" in answer.json["detail"]


async def damage_is_logged_without_a_traceback(scene: Scene) -> None:
    """Reads of the rows, and a write whose history cannot be decoded: one answer, one metric."""
    written = await scene.client.put(url("garbled"), VOLUME)
    read = await scene.client.get(url("garbled"))
    assert (written.status, written.json["detail"]) == (500, read.json["detail"])
    metrics = (await scene.client.get("/metrics")).body.decode()
    found = re.search(r"^secaplane_damaged_answers_total (\d+)", metrics, re.M)
    assert found is not None
    lines = (scene.plane.folder / "logs" / "serve.log").read_text().splitlines()
    damaged = [line for line in lines if '"damaged resource"' in line]
    assert len(damaged) == int(found[1]) > 0
    assert not any("Traceback" in line for line in damaged)
    assert not any('"defect"' in line for line in lines)


async def later_events_are_left_out(scene: Scene) -> None:
    async with scene.pool() as pool:
        before = await history_of(pool)
        await append(scene, "garbled", Updated(spec=AMENDED))
        await append(scene, "unborn", Created(spec=VOLUME["spec"]))
        seen = await scene.log.last(disk("amended"))
        await append(
            scene,
            "amended",
            StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 30}),
        )
        await scene.client.made(url("fine"), VOLUME)
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        assert await history_of(pool) == before
    await only_damaged_resources_answer_an_error(scene, DAMAGED)


async def history_of(pool: Pool) -> list[int]:
    """The positions of the damaged resources' rows."""
    paths = [disk(name).path for name in DAMAGED]
    found = await pool.fetch("select position from history where path = any($1) order by 1", paths)
    return [row[0] for row in found]


async def reached(scene: Scene, pool: Pool) -> bool:
    return bool(await pool.fetchval(CHECKPOINT) == (await scene.log.end(STREAM)).sequence)


async def retried(scene: Scene) -> dict[Ref, str]:
    """`secaplane retry`; every group fails at the same resources."""
    async with read_models(scene.plane.dev.postgres(OWNER)) as models:
        resources, history = [
            await retry(models.pools[group.name], scene.log, group, region=REGION)
            for group in GROUPS
        ]
    assert resources == history
    return resources


async def is_repaired(scene: Scene) -> None:
    """The rows are whole, and the running projector goes on with them."""
    shown = await scene.client.get(url("amended"))
    assert (shown.status, shown.state) == (200, "active")
    assert shown.json["spec"]["sizeGB"] == 30
    seen = await scene.log.last(disk("amended"))
    report = StatusReported(state=State.ACTIVE, observed_position=seen, status={"sizeGB": 31})
    last = await append(scene, "amended", report)
    async with scene.pool() as pool:
        await until(lambda: reached(scene, pool), "the rows are where the log is")
        whole = [each.position.sequence for each in await scene.log.read(disk("amended"))]
        path = disk("amended").path
        found = await pool.fetch("select position from history where path = $1 order by 1", path)
        assert [row[0] for row in found] == whole
        row = await pool.fetchrow("select position from resources where path = $1", path)
        assert tuple(row or ()) == (last.sequence,)
        left = await pool.fetch("select path from quarantine order by path")
        assert [row["path"] for row in left] == [disk(name).path for name in ("garbled", "unborn")]
    await only_damaged_resources_answer_an_error(scene, DAMAGED - {"amended"})
    await until(lambda: remarked(scene, len(DAMAGED) - 1), "readiness names those that are left")


async def callers_and_operators_close_what_is_left(scene: Scene) -> None:
    """A DELETE closes what no release can read; what may be of another release needs an operator.
    Until then both block the deletion of their workspace."""
    workspace = at("workspace", "damaged")
    listed = (await scene.client.get(at("block-storage", workspace="damaged"))).names
    assert {"amended", "fine"} <= set(listed)
    assert not DAMAGED - {"amended"} & set(listed)
    blocked = await scene.client.delete(workspace)
    assert (blocked.status, blocked.json["meta"]["count"]) == (409, 4)
    refused = await scene.client.delete(url("unborn"))
    assert (refused.status, "another release" in refused.json["detail"]) == (500, True)
    # Garbage, and an event after it: not all of it is foreign.
    assert (await scene.client.delete(url("garbled"))).status == 500
    for name in ("unborn", "garbled"):
        assert await operators(scene, "close", "block-storage", disk(name).path) == 0
        assert (await scene.client.get(url(name))).status == 404
    await garble(scene.log, disk("fine"), GARBAGE)
    await until(lambda: is_damaged(scene, url("fine")), "the event is projected")
    assert (await scene.client.delete(url("fine"))).status == 202
    assert (await scene.client.get(url("fine"))).status == 404
    assert (await scene.client.put(url("garbled"), VOLUME)).status == 201
    await until(lambda: nothing_is_remarked(scene), "the quarantine is empty")
    assert await operators(scene, "close", "block-storage", disk("garbled").path) == 1
    assert await operators(scene, "list") == 0
    # The processes of the plane cannot read it, although this one can.
    assert (await scene.client.delete(url("amended"))).status == 500
    assert await operators(scene, "close", "block-storage", disk("amended").path) == 0
    assert (await scene.client.delete(url("garbled"))).status == 202
    await scene.client.gone(url("garbled"))
    await garble(scene.log, KINDS["workspace"].ref({"tenant": "demo"}, "damaged"), GARBAGE)
    await until(lambda: is_damaged(scene, workspace), "the event is projected")
    assert (await scene.client.delete(workspace)).status == 202
    assert (await scene.client.get(workspace)).status == 404
    await scene.client.made(workspace, {"spec": {}})


async def is_damaged(scene: Scene, path: str) -> bool:
    return (await scene.client.get(path)).status == 500


async def nothing_is_remarked(scene: Scene) -> bool:
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        return bool((await monitor.get("/readyz")).json["remarks"] == [])


async def operators(scene: Scene, *arguments: str) -> int:
    """`secaplane quarantine ...`, with the settings of the plane."""
    process = scene.plane.dev.process("serve")
    command = [*process.argv[:4], "quarantine", *arguments, *process.argv[-2:]]
    made = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **process.environment}, stderr=asyncio.subprocess.DEVNULL
    )
    return await made.wait()


# --- a projector alone


@pytest.fixture
async def world(nats_client: Nats, fresh_stream: str, database_url: str) -> AsyncIterator[World]:
    async with world_on(nats_client, fresh_stream, database_url) as made:
        yield made


async def test_only_the_damaged_events_of_a_batch_are_quarantined(world: World) -> None:
    await world.made()
    unborn = [KINDS["instance"].ref(IDS, f"i{n}") for n in range(3)]
    await world.events(5)
    for n, ref in enumerate(unborn):
        await world.log.append(new_event(ref, Updated(spec={}), previous=BEGINNING))
        await garble(world.log, KINDS["block-storage"].ref(IDS, f"v{n}"), GARBAGE)
        await world.log.append(
            new_event(
                KINDS["block-storage"].ref(IDS, f"v{n + 2}"),
                Updated(spec=SMALL),
                previous=nth(n + 3),
            )
        )
    for made in world.models.projectors(world.log):
        await made.begin()
        async with asyncio.timeout(10):
            async for batch in world.log.follow(STREAM, after=BEGINNING):
                await made.project(batch)
                if made.position == nth(14):
                    break
    found = await world.models.rows()
    for group in GROUPS:
        quarantined = found[f"{group.name}.quarantine"]
        assert [row["position"] for row in quarantined] == [7, 10, 13, 6, 9, 12]
        assert [row["position"] for row in found[f"{group.name}.checkpoints"]] == [14]
    assert [row["position"] for row in found["history"]] == [1, 2, 3, 4, 5, 8, 11, 14]


async def test_a_row_that_cannot_be_stored_is_quoted_nowhere(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL quotes the whole row, which is what a tenant wrote."""
    await world.made()
    secret = "hunter2-in-a-row"
    ref = KINDS["block-storage"].ref(IDS, "v0")
    new = new_event(ref, Created(spec=SMALL, labels={"a": secret}), previous=BEGINNING)
    await world.log.append(new)
    for group in GROUPS:
        pool, table = world.models.pools[group.name], group.name
        await pool.execute(f"alter table {table} add constraint refused check (kind = 'nic')")
    with caplog.at_level("DEBUG"):
        for made in world.models.projectors(world.log):
            await made.begin()
            async with (
                asyncio.timeout(10),
                aclosing(world.log.follow(STREAM, after=BEGINNING)) as batches,
            ):
                await made.project(await anext(batches))
            assert made.quarantined == {ref}
    found = await world.models.rows()
    for group in GROUPS:
        (row,) = found[f"{group.name}.quarantine"]
        assert "23514" in row["reason"]
        assert "refused" in row["reason"]
        failed = await retry(world.models.pools[group.name], world.log, group, region=REGION)
        assert failed[ref] == row["reason"]
    formatted = [logs.ValuelessFormatter("%(message)s").format(each) for each in caplog.records]
    assert any("resource quarantined" in each for each in formatted)
    assert secret not in "".join([*formatted, str(found), *failed.values()])


async def test_rows_of_closed_resources_do_not_depend_on_how_events_were_batched(
    world: World, database_url: str
) -> None:
    await world.made()
    disks = [KINDS["block-storage"].ref(IDS, f"v{n}") for n in range(3)]
    unborn, nothing = (KINDS["instance"].ref(IDS, name) for name in ("unborn", "nothing"))
    await world.events(3)
    await garble(world.log, disks[0], GARBAGE)
    await world.log.append(new_event(unborn, Updated(spec={}), previous=BEGINNING))
    await garble(world.log, nothing, GARBAGE)
    await world.log.append(
        new_event(disks[0], Updated(spec=SMALL | {"sizeGB": 9}), previous=nth(4))
    )
    for ref, since, last in ((disks[0], 4, 7), (unborn, 5, 5), (nothing, 6, 6)):
        event = Closed(since=nth(since), version=4)
        await world.log.append(new_event(ref, event, previous=nth(last)))
    for ref, last in ((disks[0], 8), (nothing, 10)):
        again = new_event(ref, Created(spec=SMALL), uid="u2", previous=nth(last))
        await world.log.append(again)
    found = []
    for number, batch_max in ((1, 100), (2, 1), (3, 4)):
        async with read_models(database_url, number) as models:
            await projected(models, world, batch_max)
            found.append(await models.rows())
    assert_same(found[0], found[1])
    assert_same(found[0], found[2])
    await shows_closed_resources(found[0])


async def projected(models: ReadModels, world: World, batch_max: int) -> None:
    for made in models.projectors(world.log):
        await made.begin()
        async with (
            asyncio.timeout(10),
            aclosing(world.log.follow(STREAM, after=BEGINNING)) as following,
        ):
            async for batch in following:
                for begin in range(0, len(batch), batch_max):
                    await made.project(batch[begin : begin + batch_max])
                if made.position == nth(12):
                    break
        assert made.quarantined == frozenset()


async def shows_closed_resources(found: Rows) -> None:
    rows = {(row["path"], row["life"]): row for row in found["resources"]}
    disk = KINDS["block-storage"].ref(IDS, "v0").path
    assert [(row["gone"], row["unsettled"]) for row in found["resources"]].count((True, False)) == 1
    assert rows[disk, 1]["gone"]
    assert not rows[disk, 11]["gone"]
    assert '"resourceVersion":5' in rows[disk, 11]["document"]
    nothing = KINDS["instance"].ref(IDS, "nothing").path
    assert '"resourceVersion":1' in rows[nothing, 12]["document"]
    assert KINDS["instance"].ref(IDS, "unborn").path not in {path for path, _ in rows}
    orphans = {(row["path"].rpartition("/")[2], row["uid"]) for row in found["orphans"]}
    assert orphans == {("v0", "u1"), ("unborn", ""), ("nothing", "")}
    assert [row["type"] for row in found["history"] if row["path"] == disk] == [
        "created",
        "closed",
        "created",
    ]
