"""The desired state of all living resources of some kinds, a few at a time, so that the process
goes on answering requests meanwhile."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from asyncpg import Pool, Record
from asyncpg.cursor import Cursor

from secaplane.model.shape import Json, Ref
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints
from secaplane.readmodel.schema.tables import Tx

BATCH_MAX = 50
LARGE_BYTES = 64 * 1024
"""A larger row is read alone, so that a batch is bounded in bytes."""


class DeclaredResource(msgspec.Struct, frozen=True, gc=False):
    """The desired state of a living resource, without its status and conditions."""

    ref: Ref
    spec: Json
    terminating: bool
    quarantined: bool
    """A later event could not be decoded or applied."""


class _OnlySpec(msgspec.Struct, frozen=True, gc=False):
    spec: Json


@asynccontextmanager
async def declared(
    pool: Pool, kinds: Sequence[str]
) -> AsyncIterator[tuple[AsyncIterator[list[DeclaredResource]], Checkpoints]]:
    """Batches of resources, and the positions at which all of it holds: one snapshot of both."""
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        cursor = await connection.cursor(
            "select kind, path, life, terminating,"
            " (kind, path) in (select kind, path from quarantine),"
            f" case when octet_length(resource) <= {LARGE_BYTES} then resource end from resources"
            " where kind = any($1) and not gone",
            list(kinds),
        )
        yield _declared(connection, cursor), await checkpoints(connection)


async def _declared(connection: Tx, cursor: Cursor) -> AsyncIterator[list[DeclaredResource]]:
    while rows := await cursor.fetch(BATCH_MAX):
        yield [_declared_resource(row, row[5]) for row in rows if row[5] is not None]
        for row in rows:
            if row[5] is None:
                yield [_declared_resource(row, await connection.fetchval(_ONE, row[0], row[2]))]


_ONE = "select resource from resources where life = $2 and kind = $1"


def _declared_resource(row: Record, resource: str) -> DeclaredResource:
    spec = _decode_spec(resource).spec
    return DeclaredResource(Ref(row[0], row[1]), spec, terminating=row[3], quarantined=row[4])


_decode_spec = msgspec.json.Decoder(_OnlySpec).decode
