"""What is wanted of all the living of some kinds, a few at a time: for who must not keep others
waiting, however many there are."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from asyncpg import Pool
from asyncpg.cursor import Cursor

from secaplane.model.shape import Json, Ref
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints

AT_ONCE = 50


class DeclaredResource(msgspec.Struct, frozen=True, gc=False):
    """What is wanted of a living resource, and nothing else of it."""

    ref: Ref
    spec: Json
    terminating: bool
    quarantined: bool
    """There is an event after this that could not be applied."""


class _OnlySpec(msgspec.Struct, frozen=True, gc=False):
    spec: Json


@asynccontextmanager
async def declared(
    pool: Pool, kinds: Sequence[str]
) -> AsyncIterator[tuple[AsyncIterator[list[DeclaredResource]], Checkpoints]]:
    """Some at a time, and the position that all of it holds at: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        cursor = await connection.cursor(
            "select kind, path, resource, deleted, quarantined from resources"
            " where kind = any($1) and not gone",
            list(kinds),
        )
        yield _declared(cursor), await checkpoints(connection, "resources")


async def _declared(cursor: Cursor) -> AsyncIterator[list[DeclaredResource]]:
    while rows := await cursor.fetch(AT_ONCE):
        yield [
            DeclaredResource(Ref(kind, path), _decode_spec(resource).spec, deleted, quarantined)
            for kind, path, resource, deleted, quarantined in rows
        ]


_decode_spec = msgspec.json.Decoder(_OnlySpec).decode
