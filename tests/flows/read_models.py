"""Read models filled from the log in tests, and the comparison of two of them."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import islice
from typing import Any

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log
from secaplane.projector.filling import Silent
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.readmodel.schema import tables
from tests.positions import STREAM

GROUPS = (RESOURCES, HISTORY)
HOUSEKEEPING = {"checkpoints": "stream", "quarantine": "kind, path"}
ORDERS = {
    "resources": {
        "resources": "kind, collection, name, life",
        "labels": "kind, collection, key, value, name, life",
        "links": "target_kind, target_path, kind, path",
        "counts": "path",
        "usage": "tenant, kind, life, position, sku",
        "specs": "kind, path, position",
        "orphans": "kind, path, position",
        **HOUSEKEEPING,
    },
    "history": {"history": "stream, position", **HOUSEKEEPING},
}
Rows = dict[str, list[dict[str, Any]]]


class ReadModels:
    """One read model of each group, and pools that write them."""

    def __init__(self, pools: dict[str, Pool]) -> None:
        self.pools = pools
        self.resources, self.history = pools["resources"], pools["history"]

    def projectors(self, log: Log, *, region: str = "eu-1") -> list[Projector]:
        """One for each group and stream."""
        return [
            projector(self.pools[group.name], log, group, stream=stream, region=region)
            for stream in log.streams.names
            for group in GROUPS
        ]

    async def rebuild(self, log: Log, events: Sequence[Followed], *, batch_max: int) -> None:
        """Project all events of one stream, in batches of one size; none may be quarantined."""
        for made in self.projectors(log):
            await made.begin()
            following = iter(events)
            while batch := list(islice(following, batch_max)):
                await made.project(batch)
            assert not made.quarantined
            assert made.position == events[-1].position

    async def rows(self) -> Rows:
        """Every row of every table; those that each group has by `<group>.<table>`."""
        found: Rows = {}
        for name, pool in self.pools.items():
            for table, some in (await rows_of(pool, name)).items():
                found[f"{name}.{table}" if table in HOUSEKEEPING else table] = some
        return found


def projector(
    pool: Pool,
    log: Log,
    group: ProjectionGroup = RESOURCES,
    *,
    stream: str = STREAM,
    region: str = "eu-1",
) -> Projector:
    return Projector(group, pool, SharedStream(log, stream), Silent(), region)


@asynccontextmanager
async def read_models(url: str, number: int = 1) -> AsyncIterator[ReadModels]:
    """The read models of a number, created if there are none."""
    async with AsyncExitStack() as stack:
        pools = {}
        for group in GROUPS:
            schema = group.tables.read_model(number)
            await tables.prepare(url, group.tables, schema)
            pools[group.name] = await tables.open_pool(url, schema=schema)
            stack.push_async_callback(pools[group.name].close)
        yield ReadModels(pools)


async def rows_of(pool: Pool, group: str) -> Rows:
    return {
        table: [dict(row) for row in await pool.fetch(f"select * from {table} order by {order}")]
        for table, order in ORDERS[group].items()
    }


def assert_same(one: Rows, other: Rows) -> None:
    """Row by row, so that a difference can be read."""
    assert one.keys() == other.keys()
    for table in one:
        assert len(one[table]) == len(other[table]), table
        for mine, theirs in zip(one[table], other[table], strict=True):
            assert mine == theirs, table
