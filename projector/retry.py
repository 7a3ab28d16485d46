"""Take what is in quarantine through the projections again, after a release that can read it."""

from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log
from secaplane.model.position import position
from secaplane.model.shape import Ref
from secaplane.projector import statement
from secaplane.projector.folding import fold
from secaplane.readmodel import questions
from secaplane.readmodel.schema.tables import Tx


async def retry(pool: Pool, log: Log, *, region: str) -> dict[Ref, str]:
    """Every address in quarantine, made again from its whole history; answers what still fails.

    Each in one transaction, under a lock on the checkpoint, which begins another epoch: a projector
    that is running sees that, and neither misses an event nor applies one twice.
    """
    still: dict[Ref, str] = {}
    for ref in await questions.quarantine(pool):
        try:
            async with pool.acquire() as connection, connection.transaction():
                await _made_again(connection, log, ref, region=region)
        except (Undecodable, AssertionError, ValueError, TypeError, KeyError) as error:
            still[ref] = f"{type(error).__name__}: {error}"
    return still


async def _made_again(tx: Tx, log: Log, ref: Ref, *, region: str) -> None:
    stream = log.streams.of(ref.kind)
    checkpoint = position(
        stream,
        await tx.fetchval(
            "with locked as (update checkpoints set epoch = epoch + 1 where stream = $1"
            " returning position) select min(position) from locked",
            stream,
        ),
    )
    events = [each for each in await log.read(ref) if each.position <= checkpoint]
    await statement.forget(tx, ref)
    await tx.execute("delete from quarantine where kind = $1 and path = $2", ref.kind, ref.path)
    await statement.insert(tx, fold({}, events, region))
