"""A read model is made anew from the log, beside the one that is read, and then readers are turned
to it. Half-made ones are nobody's: the next rebuild drops them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import NamedTuple

from asyncpg import Connection

from secaplane.eventlog.log import Followed, Log
from secaplane.model.position import BEGINNING, Position
from secaplane.projector.run import Projector
from secaplane.readmodel import questions
from secaplane.readmodel.announcements import Announcer
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import (
    active,
    active_of_any_layout,
    connected,
    number,
    read_models,
    settled_for,
)
from secaplane.readmodel.schema.tables import ADMIN_SCHEMA, LAYOUT, PREFIX, Tx

BATCH_MAX = 4000
CLOSE = 512
"""How many events may be missing when the live checkpoint is locked: those are soon caught up."""
LOCKED_S_MAX = 4.0
"""Less than a projector waits for its statement."""
KILLED_S_MAX = 2.0
"""How long PostgreSQL may take to notice that a rebuild was killed."""
FOLLOWED_S = 5.0
"""Readers have turned to another read model by then."""
_LOCK = 0x5ECB


class ReadModelBusy(Exception):
    """Somebody else is at the read models, or just was."""


class Rebuilt(NamedTuple):
    read_model: str
    end: Position
    took_s: float


async def rebuild(url: str, log: Log, *, stream: str, region: str) -> Rebuilt:
    """Make another read model from the beginning of the log, and turn everybody to it.

    Raises:
        Busy: one is being made.
        Gap: the log has lost something.
    """
    await tables.prepare(url, None)
    async with _alone(url) as connection:
        return await _rebuilt(connection, url, log, stream, region)


async def first(url: str, log: Log, *, stream: str, region: str) -> Rebuilt | None:
    """Make a read model of this layout, where there is none.

    Raises:
        Busy: somebody else does; look again.
    """
    await tables.prepare(url, None)
    async with connected(url) as connection:
        if await active(connection) is not None:
            return None
    return await rebuild(url, log, stream=stream, region=region)


async def retire(url: str) -> list[str]:
    """Drop every read model but the active one; answers which. Waits until readers have followed
    the last switch.

    Raises:
        Busy: a rebuild is under way.
    """
    await tables.prepare(url, None)
    async with _alone(url) as connection:
        kept = await active(connection)
        if kept is None:
            return []
        await asyncio.sleep(max(0.0, FOLLOWED_S - await settled_for(connection)))
        await connection.execute(f"delete from {ADMIN_SCHEMA}.active where layout <> $1", LAYOUT)
        retired = [name for name in await read_models(connection) if name != kept]
        for name in retired:
            await connection.execute(f"drop schema {name} cascade")
        return retired


async def switch(tx: Tx, read_model: str) -> None:
    """Readers of this layout turn to it when they see that."""
    await tx.execute(
        f"insert into {ADMIN_SCHEMA}.active (layout, read_model) values ($1, $2)"
        " on conflict (layout) do update set read_model = excluded.read_model, since = now()",
        LAYOUT,
        read_model,
    )


@asynccontextmanager
async def _alone(url: str) -> AsyncIterator[Connection]:
    """A lock that ends with its connection, so with its process, too. Who was killed may hold it
    for a moment longer; who has finished meanwhile was another one at work."""
    async with connected(url) as connection:
        was = await active(connection)
        deadline = time.monotonic() + KILLED_S_MAX
        while not await connection.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            if time.monotonic() > deadline:
                raise ReadModelBusy(
                    "somebody else is at the read models; wait until that has ended"
                )
            await asyncio.sleep(0.05)
        if await active(connection) != was:
            raise ReadModelBusy("somebody else has just rebuilt the read model")
        yield connection


async def _rebuilt(connection: Connection, url: str, log: Log, stream: str, region: str) -> Rebuilt:
    began = time.monotonic()
    former, read_model = await active(connection), await _fresh(connection)
    await tables.prepare(url, read_model)
    pool = await tables.open_pool(url, schema=read_model, size=1, writes=True)
    try:
        made = Projector(pool, log, _Silent(), stream, region)
        await made.begin()
        async with aclosing(log.follow(stream, after=BEGINNING)) as following:
            while (end := await log.end(stream)).sequence > made.position.sequence + CLOSE:
                await _fill(made, following, end)
            await connection.execute(_ANALYZE.format(schema=read_model))
            async with connection.transaction():
                live = await _locked(connection, former, stream) if former else BEGINNING
                async with asyncio.timeout(LOCKED_S_MAX):
                    await _fill(made, following, max(live, await log.end(stream)))
                    await switch(connection, read_model)
        return Rebuilt(read_model, made.position, time.monotonic() - began)
    finally:
        pool.terminate()


_ANALYZE = (
    "analyze {schema}.resources, {schema}.labels, {schema}.links, {schema}.counts, {schema}.usage"
)
"""Questions are planned well from the first one on."""


async def _fresh(connection: Connection) -> str:
    """The name of the next read model, of which nothing is there."""
    last = max(map(number, await active_of_any_layout(connection)), default=0)
    for name in await read_models(connection):
        if number(name) > last:
            await connection.execute(f"drop schema {name} cascade")
    return f"{PREFIX}{last + 1}"


async def _locked(connection: Connection, read_model: str, stream: str) -> Position:
    """Where the live read model is; it stays there until the transaction ends."""
    await connection.execute(f"set local search_path to {read_model}")
    return await questions.locked_checkpoint(connection, stream)


async def _fill(
    made: Projector, following: AsyncGenerator[Sequence[Followed], None], up_to: Position
) -> None:
    while made.position < up_to:
        batch: list[Followed] = []
        while len(batch) < BATCH_MAX and (not batch or batch[-1].position < up_to):
            batch += await anext(following)
        await made.project(batch)


class _Silent(Announcer):
    """Nobody waits for what nobody reads."""

    def __init__(self) -> None: ...

    async def announce(self, position: Position) -> None: ...
