"""How far the rows are."""

from asyncpg import Pool

from secaplane.model.shape import Position
from secaplane.readmodel.schema.tables import Tx


async def checkpoint(connection: Tx | Pool, projection: str, stream: str) -> Position:
    position = await connection.fetchval(
        "select position from checkpoints where projection = $1 and stream = $2",
        projection,
        stream,
    )
    return Position(position or 0)


async def locked_checkpoint(tx: Tx, stream: str) -> Position:
    """Nobody writes rows until the transaction ends."""
    rows = await tx.fetch("select position from checkpoints where stream = $1 for update", stream)
    return Position(max((row[0] for row in rows), default=0))
