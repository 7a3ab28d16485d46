"""The checkpoints: how far the rows of a read model are in each stream."""

from asyncpg import Pool

from secaplane.model.position import Position, position
from secaplane.readmodel.schema.tables import Tx

Checkpoints = dict[str, Position]
"""Stream -> the position that the rows have reached."""


async def checkpoints(connection: Tx | Pool) -> Checkpoints:
    rows = await connection.fetch("select stream, position from checkpoints")
    return {row[0]: position(row[0], row[1]) for row in rows}


async def checkpoint(connection: Tx | Pool, stream: str) -> Position:
    """The checkpoint in one stream; BEGINNING where there is none yet."""
    sequence: int | None = await connection.fetchval(
        "select position from checkpoints where stream = $1", stream
    )
    return position(stream, sequence or 0)


async def locked_checkpoints(tx: Tx) -> Checkpoints:
    """The checkpoints; no projector moves them until the transaction ends."""
    rows = await tx.fetch("select stream, position from checkpoints order by stream for update")
    return {row[0]: position(row[0], row[1]) for row in rows}
