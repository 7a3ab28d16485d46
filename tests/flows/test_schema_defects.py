"""A missing table, column or privilege stops a projector until it is repaired, and quarantines
nothing."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from nats.aio.client import Client as Nats

from secaplane.kinds import KINDS
from secaplane.model.events import Created
from secaplane.model.position import BEGINNING
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.readmodel.schema import tables
from tests.flows.client import VOLUME, at, client_of
from tests.flows.crashing import Scene, until
from tests.flows.damaging import World, running, stays_stopped, world_on
from tests.flows.simulated_site import SMALL
from tests.log.new_events import IDS, new_event
from tests.positions import nth


@pytest.fixture
async def world(nats_client: Nats, fresh_stream: str, database_url: str) -> AsyncIterator[World]:
    async with world_on(nats_client, fresh_stream, database_url) as made:
        yield made


COLUMN_GONE = (
    RESOURCES,
    "alter table resources rename column document to lost",
    "alter table resources rename column lost to document",
    'SQLSTATE 42703: column "document" of relation "resources" does not exist',
)
TABLE_GONE = (
    RESOURCES,
    "alter table labels rename to lost",
    "alter table lost rename to labels",
    'SQLSTATE 42P01: relation "labels" does not exist',
)
HISTORY_COLUMN_GONE = (
    HISTORY,
    "alter table history rename column actor to lost",
    "alter table history rename column lost to actor",
    'SQLSTATE 42703: column "actor" of relation "history" does not exist',
)


@pytest.mark.parametrize(
    ("group", "defect", "repair", "why"), [COLUMN_GONE, TABLE_GONE, HISTORY_COLUMN_GONE]
)
async def test_a_schema_defect_stops_the_projector_and_quarantines_nothing(
    world: World, group: ProjectionGroup, defect: str, repair: str, why: str
) -> None:
    await world.made()
    await world.events(3)
    pool = world.models.pools[group.name]
    async with running(world, group) as made:
        await until(lambda: at_position(made, 3), "it has projected three events")
        await pool.execute(defect)
        ref = KINDS["block-storage"].ref(IDS, "labelled")
        event = Created(spec=SMALL, labels={"env": "demo"})
        await world.log.append(new_event(ref, event, previous=BEGINNING))
        await stays_stopped(made, why)
        assert made.reason.startswith(f"the tables of {group.name} do not fit: ")
        assert await pool.fetchval("select count(*) from quarantine") == 0
        await pool.execute(repair)
        await until(lambda: at_position(made, 4), "it has caught up")
        assert made.reason == ""
        assert not made.quarantined


ROLE = """
do $$ begin create role secaplane_test_writer; exception when duplicate_object then null; end $$;
grant usage on schema resources_1 to secaplane_test_writer;
grant all on all tables in schema resources_1 to secaplane_test_writer;
"""


async def test_a_missing_privilege_stops_the_projector(world: World, database_url: str) -> None:
    await world.made()
    owner = world.models.resources
    await owner.execute(ROLE)

    async def as_writer(connection: asyncpg.Connection) -> None:
        await connection.execute("set role secaplane_test_writer")

    pool = await tables.open_pool(database_url, schema=RESOURCES.tables.first, init=as_writer)
    world.models.pools["resources"] = pool
    async with running(world) as made:
        await owner.execute("revoke insert on resources from secaplane_test_writer")
        await world.events(2)
        await stays_stopped(made, "SQLSTATE 42501: permission denied for table resources")
        assert await owner.fetchval("select count(*) from quarantine") == 0
        await owner.execute("grant insert on resources to secaplane_test_writer")
        await until(lambda: at_position(made, 2), "it has caught up")
    await pool.close()
    await owner.execute("drop owned by secaplane_test_writer; drop role secaplane_test_writer")


async def at_position(made: Projector, sequence: int) -> bool:
    return made.position == nth(sequence) and not made.reason


async def test_readiness_gives_the_reason_of_a_schema_defect_and_the_other_group_goes_on(
    scene: Scene,
) -> None:
    """The projector process of a whole control plane."""
    await scene.client.made(at("workspace", "defect"), {"spec": {}})
    await scene.at_rest()
    async with scene.pool() as pool:
        await pool.execute("alter table history_1.history rename column cause to lost")
        await scene.client.made(at("block-storage", "one", workspace="defect"), VOLUME)
        why = (
            "the tables of history do not fit: UndefinedColumnError: SQLSTATE 42703: "
            'column "cause" of relation "history" does not exist'
        )
        await until(lambda: gives(scene, [why]), "readiness gives the reason")
        await scene.client.made(at("block-storage", "two", workspace="defect"), VOLUME)
        await pool.execute("alter table history_1.history rename column lost to cause")
        await until(lambda: gives(scene, []), "readiness gives no reason")
        await scene.at_rest()
        for group in ("resources_1", "history_1"):
            assert await pool.fetchval(f"select count(*) from {group}.quarantine") == 0
        positions = await pool.fetch("select position from history order by 1")
    events = await scene.events()
    assert [row[0] for row in positions] == [each.position.sequence for each in events]


async def gives(scene: Scene, reasons: list[str]) -> bool:
    port = scene.plane.dev.process("projector").environment["SECAPLANE_MONITOR_PORT"]
    async with client_of(f"http://127.0.0.1:{port}", None) as monitor:
        answer = await monitor.get("/readyz")
    assert answer.status == (503 if answer.json["reasons"] else 200)
    return bool(answer.json["reasons"] == reasons)
