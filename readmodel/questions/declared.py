"""The desired state of all living resources of some kinds, a few at a time, so that the process
goes on answering requests meanwhile."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from asyncpg import Pool, Record
from asyncpg.cursor import Cursor
from msgspec import UNSET, UnsetType

from secaplane.model.position import Position
from secaplane.model.shape import Author, Json, Moment, Ref
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints
from secaplane.readmodel.schema.tables import Tx

BATCH_MAX = 50
LARGE_BYTES = 64 * 1024
"""A larger row is read alone, so that a batch is bounded in bytes."""


class DeclaredResource(msgspec.Struct, frozen=True, gc=False):
    """The desired state of a living resource, without its status and conditions."""

    ref: Ref
    tenant: str
    """The uid of the life of the tenant that contains it."""
    spec: Json
    life: Position
    former_end: Moment | UnsetType
    author: Author | UnsetType
    terminating: bool
    quarantined: bool
    """A later event could not be decoded or applied."""


class _Declared(msgspec.Struct, frozen=True, gc=False):
    spec: Json
    life: Position
    tenant: str = ""
    former_end: Moment | UnsetType = UNSET
    author: Author | UnsetType = UNSET


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
            " (kind, path) in (select kind, path from quarantine) as quarantined,"
            f" case when octet_length(resource) <= {LARGE_BYTES} then resource end as resource"
            " from resources"
            " where kind = any($1) and not gone",
            list(kinds),
        )
        yield _declared(connection, cursor), await checkpoints(connection)


async def _declared(connection: Tx, cursor: Cursor) -> AsyncIterator[list[DeclaredResource]]:
    while rows := await cursor.fetch(BATCH_MAX):
        yield [_of_row(row, row["resource"]) for row in rows if row["resource"] is not None]
        for row in rows:
            if row["resource"] is None:
                yield [_of_row(row, await connection.fetchval(_ONE, row["kind"], row["life"]))]


_ONE = "select resource from resources where kind = $1 and life = $2"


def _of_row(row: Record, resource: str) -> DeclaredResource:
    return _resource(
        Ref(row["kind"], row["path"]),
        _decode_declared(resource),
        terminating=row["terminating"],
        quarantined=row["quarantined"],
    )


def _resource(
    ref: Ref, declared: _Declared, *, terminating: bool, quarantined: bool
) -> DeclaredResource:
    return DeclaredResource(
        ref,
        declared.tenant,
        declared.spec,
        declared.life,
        declared.former_end,
        declared.author,
        terminating,
        quarantined,
    )


_decode_declared = msgspec.json.Decoder(_Declared).decode
