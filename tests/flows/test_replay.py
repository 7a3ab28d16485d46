"""Rows are a fold of the log: however the log is replayed, the rows are the same."""

import asyncio

from nats.aio.client import Client as Nats

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import OWNER
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import UndecodableEvent
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Json, State
from tests.flows.client import INSTANCE, VOLUME, Client, at
from tests.flows.crashing import Scene, scene_of, whole
from tests.flows.read_models import GROUPS, assert_same, projector, read_models
from tests.flows.simulated_site import LARGE, SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.plane import shared_plane
from tests.scenario import found

READER: Json = {
    "spec": {"permissions": [{"provider": "seca.storage", "resources": ["*"], "verb": ["get"]}]}
}
READS: Json = {"spec": {"subs": ["jane"], "roles": ["reader"], "scopes": [{}]}}


async def test_a_rebuild_of_a_busy_control_plane_gives_the_same_rows() -> None:
    with shared_plane(Config()) as own_plane:
        async with scene_of(own_plane) as scene:
            await lively(scene)
            events = await scene.events()
            url = own_plane.dev.postgres(OWNER)
            async with read_models(url) as live:
                was = await live.rows()
            assert {row["type"] for row in was["history"]} == EVERY_TYPE
            assert {row["kind"] for row in was["history"]} >= KINDS_OF_IT
            assert all(was[table] for table in ("labels", "links", "counts"))
            for batch_max in (1000, 7, 1):
                async with read_models(url, 1000 + batch_max) as beside:
                    await beside.rebuild(scene.log, events, batch_max=batch_max)
                    assert_same(was, await beside.rows())


KINDS_OF_IT = {"role", "role-assignment", "workspace", "block-storage", "instance", "region"}
EVERY_TYPE = {
    "created",
    "updated",
    "action-requested",
    "deletion-requested",
    "status-reported",
    "deleted",
}


async def lively(scene: Scene) -> None:
    """Many kinds, every sort of event, names used again, refusals of the cloud, secrets, labels."""
    client = scene.client
    refuse = [{"kind": "block-storage", "name": "bad*"}]
    await scene.site.misbehave(delay_s=0.05, refuse=refuse)
    async with asyncio.TaskGroup() as group:
        for workspace in ("one", "two"):
            group.create_task(live_in(client, workspace))
    for path, body in (
        (at("role", "reader"), READER),
        (at("role-assignment", "jane"), READS),
        (at("role", "reader"), READER | {"labels": {"a": "é"}}),
    ):
        await client.made(path, body)
    await client.delete(at("role-assignment", "jane"))
    await client.gone(at("role-assignment", "jane"))
    await scene.at_rest()


async def live_in(client: Client, workspace: str) -> None:
    home = at("workspace", workspace)
    await client.made(home, {"spec": {}, "annotations": {"note": "é \U0001f600"}})
    disk, bad = (at("block-storage", name, workspace=workspace) for name in ("disk", "bad.disk"))
    await client.put(disk, VOLUME)
    for size in (20, 30):
        grown = VOLUME["spec"] | {"sizeGB": size}
        await client.put(disk, {"spec": grown, "labels": {"size": str(size)}})
    await client.active(disk)
    await client.put(bad, VOLUME)
    await client.until(bad, lambda answer: answer.state == "error")
    one = at("instance", "one", workspace=workspace)
    await client.made(one, {"spec": INSTANCE["spec"] | {"userData": "hush"}})
    for action in ("start", "restart", "stop"):
        assert (await client.post(f"{one}/{action}")).status == 202
        await client.active(one)
    spare = at("block-storage", "spare", workspace=workspace)
    for _ in range(2):
        await client.made(spare, VOLUME)
        assert (await client.delete(spare)).status == 202
        await client.gone(spare)
    if workspace == "two":
        for path in (one, disk, bad):
            await client.delete(path)
            await client.gone(path)
        assert (await client.delete(home)).status == 202
        await client.gone(home)
        await client.made(home, {"spec": {}})


# --- the same events again


async def lived(log: JetStreamLog, volumes: int) -> None:
    """Histories side by side, with a name used again among them."""
    for event in (
        Created(spec=SMALL),
        found(State.ACTIVE, observed_position=1),
        Updated(spec=LARGE),
        DeletionRequested(),
        Deleted(),
        Created(spec=LARGE),
    ):
        for n in range(volumes):
            ref = KINDS["block-storage"].ref(IDS, f"v{n}")
            uid = "u2" if event == Created(spec=LARGE) else "u1"
            await log.append(new_event(ref, event, uid=uid, previous=await log.last(ref)))


async def test_a_batch_delivered_twice_is_written_once(
    nats_client: Nats, fresh_stream: str, database_url: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await lived(log, 5)
    events = await whole(log)
    async with read_models(database_url) as models:
        for one in models.projectors(log):
            await one.begin()
            assert await one.project(events) == events[-1].position
            once = await models.rows()
            for again in (events, events[3:9], events[-1:]):
                assert await one.project(again) == events[-1].position
            another = projector(one.pool, log, one.group)
            await another.begin()
            await another.project(events)
            assert_same(once, await models.rows())
        assert len(once["history"]) == len(events)


async def test_an_event_behind_the_checkpoint_is_not_quarantined_and_moves_nothing_back(
    nats_client: Nats, fresh_stream: str, database_url: str
) -> None:
    """As when another projector of the read model has written it meanwhile."""
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await lived(log, 2)
    events = await whole(log)
    async with read_models(database_url) as models:
        await models.rebuild(log, events, batch_max=1000)
        for group in GROUPS:
            late = projector(models.pools[group.name], log, group)
            end = await late.begin()
            first = events[0]
            await late.project([UndecodableEvent(first.ref, first.position, "cannot be read")])
            assert await late.begin() == end == events[-1].position
            assert not late.quarantined


async def test_several_projectors_of_one_read_model_write_the_rows_of_one(
    nats_client: Nats, fresh_stream: str, database_url: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await lived(log, 10)
    events = await whole(log)
    async with read_models(database_url, 2) as alone, read_models(database_url) as several:
        await alone.rebuild(log, events, batch_max=1000)
        async with asyncio.TaskGroup() as group:
            for batch_max in (1, 2, 3, 7):
                group.create_task(several.rebuild(log, events, batch_max=batch_max))
        assert_same(await alone.rows(), await several.rows())
