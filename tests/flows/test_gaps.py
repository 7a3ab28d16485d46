"""A missing event stops a projector, and so do rows that are ahead of the log."""

from collections.abc import AsyncIterator

import pytest
from nats.aio.client import Client as Nats

from secaplane.projector.projection import ProjectionGroup
from tests.flows.damaging import World, running, stays_stopped, world_on
from tests.flows.read_models import GROUPS
from tests.positions import nth
from tests.servers import STREAM


@pytest.fixture
async def world(nats_client: Nats, fresh_stream: str, database_url: str) -> AsyncIterator[World]:
    async with world_on(nats_client, fresh_stream, database_url) as made:
        yield made


each_group = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@each_group
@pytest.mark.parametrize("lost", [1, 4])
async def test_a_missing_position_stops_the_projector(
    world: World, group: ProjectionGroup, lost: int
) -> None:
    await world.made()
    await world.events(6)
    await world.lose(lost)
    async with running(world, group) as made:
        reason = f"sequence {lost} is missing; the log went on at {nth(lost + 1)}"
        await stays_stopped(made, reason)
    pool = world.models.pools[group.name]
    assert await pool.fetchval("select min(position) from checkpoints") < lost
    last = f"select coalesce(max(position), 0) from {group.name}"
    assert await pool.fetchval(last) < lost


async def test_a_checkpoint_before_the_first_event_stops_the_projector(world: World) -> None:
    await world.made(first_seq=5)
    await world.events(2)
    async with running(world) as made:
        await stays_stopped(made, f"sequence 1 is missing; the log went on at {nth(5)}")
    assert await world.models.resources.fetchval("select max(position) from checkpoints") == 0


async def test_rows_that_are_ahead_of_the_log_stop_the_projector(world: World) -> None:
    await world.made()
    await world.events(3)
    pool = world.models.resources
    await pool.execute("insert into checkpoints values ($1, 4)", STREAM)
    async with running(world) as made:
        reason = f"the log ends at {nth(3)}, and the rows are at {nth(4)}; rebuild them"
        await stays_stopped(made, reason)
    assert not made.started.is_set()
    assert await pool.fetchval("select count(*) from resources") == 0
