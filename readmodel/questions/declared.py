"""The desired state of all living resources of some kinds, a few at a time, so that the process
goes on answering requests meanwhile."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from asyncpg import Pool
from asyncpg.cursor import Cursor
from msgspec import UNSET, UnsetType

from secaplane.model.position import Position
from secaplane.model.shape import Author, Json, Moment, Ref
from secaplane.readmodel.schema.checkpoints import Checkpoints, checkpoints

BATCH_MAX = 50


class DeclaredResource(msgspec.Struct, frozen=True, gc=False):
    """The desired state of a living resource, without its status and conditions."""

    ref: Ref
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
            "select kind, path, resource, terminating,"
            " (kind, path) in (select kind, path from quarantine) from resources"
            " where kind = any($1) and not gone",
            list(kinds),
        )
        yield _declared(cursor), await checkpoints(connection)


async def _declared(cursor: Cursor) -> AsyncIterator[list[DeclaredResource]]:
    while rows := await cursor.fetch(BATCH_MAX):
        yield [
            _resource(
                Ref(kind, path),
                _decode_declared(resource),
                terminating=terminating,
                quarantined=quarantined,
            )
            for kind, path, resource, terminating, quarantined in rows
        ]


def _resource(
    ref: Ref, declared: _Declared, *, terminating: bool, quarantined: bool
) -> DeclaredResource:
    spec, life = declared.spec, declared.life
    return DeclaredResource(
        ref, spec, life, declared.former_end, declared.author, terminating, quarantined
    )


_decode_declared = msgspec.json.Decoder(_Declared).decode
