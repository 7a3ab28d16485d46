"""The contract of a projection group as a check, for the tests of a distribution that adds one.

    await check(url, log, GROUP, region="eu-1")

`url` is a database that may be written, `log` has events that the group makes rows of: creations,
updates, deletions, and names that are used again. The schemas that the check creates are dropped.
"""

from collections.abc import Sequence
from itertools import count

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING
from secaplane.projector.filling import Silent
from secaplane.projector.folding import fold
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.projector.statement import GroupStatement
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import connected

BATCHES = (1000, 7, 1)
FIRST_NUMBER = 900_000_000
"""Of read models that no control plane has."""

Rows = dict[str, list[str]]


async def check(url: str, log: Log, group: ProjectionGroup, *, region: str) -> None:
    """Raises AssertionError, naming the promise that is broken."""
    numbers, expected = count(FIRST_NUMBER), None
    for batch_max in BATCHES:
        read_model = group.tables.read_model(next(numbers))
        await tables.prepare(url, group.tables, read_model)
        pool = await tables.open_pool(url, schema=read_model)
        try:
            found = await _filled(pool, log, group, region, batch_max)
            if expected is None:
                assert any(found.values()), "the log has no events that the group makes rows of"
            assert expected in (None, found), f"other rows in batches of {batch_max} events"
            expected = found
        finally:
            await pool.close()
            async with connected(url) as connection:
                await connection.execute(f"drop schema {read_model} cascade")


async def _filled(
    pool: Pool, log: Log, group: ProjectionGroup, region: str, batch_max: int
) -> Rows:
    for stream in log.streams.names:
        projector = Projector(group, pool, SharedStream(log, stream), Silent(), region)
        await projector.begin()
        events = await _events(log, stream)
        for begin in range(0, len(events), batch_max):
            batch = events[begin : begin + batch_max]
            await projector.project(batch)
            await projector.project(batch)
        assert not projector.quarantined, f"an exception: {sorted(projector.quarantined)}"
        before = await _rows(pool)
        for ref in {each.ref for each in events}:
            own = [e for e in events if isinstance(e, RecordedEvent) and e.ref == ref]
            statement = GroupStatement(group.projections)
            async with pool.acquire() as connection, connection.transaction():
                await statement.forget(connection, ref)
                await statement.insert(connection, fold({}, own, region))
            assert before == await _rows(pool), f"other rows after {ref} was projected again"
    return await _rows(pool)


async def _events(log: Log, stream: str) -> Sequence[Followed]:
    end, events = await log.end(stream), list[Followed]()
    following = log.follow(stream, after=BEGINNING)
    while end and (not events or events[-1].position < end):
        events += await anext(following)
    await following.aclose()
    return events


async def _rows(pool: Pool) -> Rows:
    names = await pool.fetch(
        "select tablename from pg_tables where schemaname = current_schema()"
        " and tablename not in ('checkpoints', 'quarantine')"
    )
    return {
        name: [row[0] for row in await pool.fetch(f"select t::text from {name} t order by 1")]
        for (name,) in names
    }
