"""Read models made from the log, and whether two of them say the same."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log
from secaplane.model.position import Position
from secaplane.projector.run import Projector
from secaplane.readmodel.announcements import Announcer

ORDERS = {
    "resources": "kind, collection, name, life",
    "history": "position",
    "labels": "kind, collection, key, value, name, life",
    "links": "target_kind, target_path, kind, path",
    "counts": "path",
    "usage": "tenant, kind, life, position, sku",
    "checkpoints": "projection, stream",
    "quarantine": "kind, path",
}


class Silent(Announcer):
    """Tells nobody."""

    def __init__(self) -> None: ...

    async def announce(self, position: Position) -> None: ...


def projector(pool: Pool, log: Log, *, stream: str = "SECA", region: str = "eu-1") -> Projector:
    return Projector(pool=pool, events=log, announcer=Silent(), stream=stream, region=region)


async def rebuild(pool: Pool, log: Log, events: Sequence[Followed], *, batch_max: int) -> None:
    """From position 0 on, in batches of one size; nothing must be set aside."""
    made = projector(pool, log)
    await made.begin()
    following = iter(events)
    while batch := list(islice(following, batch_max)):
        await made.project(batch)
    assert made.quarantined == 0
    assert made.position == events[-1].position


async def rows(pool: Pool) -> dict[str, list[dict[str, Any]]]:
    """Every table, every row, every column."""
    return {
        table: [dict(row) for row in await pool.fetch(f"select * from {table} order by {order}")]
        for table, order in ORDERS.items()
    }


def assert_same(
    one: dict[str, list[dict[str, Any]]], other: dict[str, list[dict[str, Any]]]
) -> None:
    """Row by row, so that what differs can be read."""
    for table in ORDERS:
        assert len(one[table]) == len(other[table]), table
        for mine, theirs in zip(one[table], other[table], strict=True):
            assert mine == theirs, table
