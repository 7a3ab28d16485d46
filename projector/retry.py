"""Retry: quarantined resources are projected again, by a release that can apply their events."""

import asyncpg
from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, OutdatedAnswer
from secaplane.eventlog.monotonic import end_reaching
from secaplane.model.position import position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref
from secaplane.projector.folding import fold
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.statement import GroupStatement
from secaplane.readmodel import questions
from secaplane.readmodel.schema.tables import Tx

CANNOT_PROJECT = (
    *(Undecodable, AssertionError, ValueError, TypeError, KeyError),
    *(asyncpg.DataError, asyncpg.IntegrityConstraintViolationError),
)
"""A resource that cannot be projected, or whose row cannot be stored."""


async def retry(pool: Pool, log: Log, group: ProjectionGroup, *, region: str) -> dict[Ref, str]:
    """Project every resource in a read model's quarantine again, from its whole history; answers
    those that fail again, with the reason.

    Each in one transaction, under a lock on the checkpoint, which begins another epoch: a projector
    that is running notices that, and neither misses an event nor applies one twice.
    """
    failed: dict[Ref, str] = {}
    for ref in await questions.quarantine(pool):
        try:
            async with pool.acquire() as connection, connection.transaction():
                await _projected_again(connection, log, group, ref, region)
        except CANNOT_PROJECT as error:
            failed[ref] = reason_of(error)
    return failed


async def _projected_again(tx: Tx, log: Log, group: ProjectionGroup, ref: Ref, region: str) -> None:
    stream = log.streams.of(ref.kind)
    sequence = await tx.fetchval(
        "update checkpoints set epoch = epoch + 1 where stream = $1 returning position", stream
    )
    checkpoint = position(stream, sequence or 0)
    if await end_reaching(log, stream, checkpoint) < checkpoint:
        raise OutdatedAnswer(f"the log has not reached {checkpoint}, which the rows have")
    events = [each for each in await log.read(ref) if each.position <= checkpoint]
    statement = GroupStatement(group.projections)
    await statement.forget(tx, ref)
    await tx.execute("delete from quarantine where kind = $1 and path = $2", ref.kind, ref.path)
    await statement.insert(tx, fold({}, events, region))
