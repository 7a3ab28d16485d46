"""The checkpoints: how far the rows of a projection are in each stream."""

from asyncpg import Pool

from secaplane.model.position import Position, position
from secaplane.readmodel.schema.tables import Tx

Checkpoints = dict[str, Position]
"""Stream -> the position that the rows have reached."""


async def checkpoints(connection: Tx | Pool, projection: str) -> Checkpoints:
    rows = await connection.fetch(
        "select stream, position from checkpoints where projection = $1", projection
    )
    return {row[0]: position(row[0], row[1]) for row in rows}


async def checkpoint(connection: Tx | Pool, projection: str, stream: str) -> Position:
    """The checkpoint in one stream; BEGINNING where there is none yet."""
    sequence: int | None = await connection.fetchval(
        "select position from checkpoints where projection = $1 and stream = $2",
        projection,
        stream,
    )
    return position(stream, sequence or 0)


async def locked_checkpoint(tx: Tx, stream: str) -> Position:
    """The checkpoint in one stream, which stays there until the transaction ends."""
    rows = await tx.fetch("select position from checkpoints where stream = $1 for update", stream)
    return position(stream, max((row[0] for row in rows), default=0))
