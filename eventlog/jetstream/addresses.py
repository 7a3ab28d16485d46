"""Reading the events at some addresses of a stream, from the first one on, as they are stored."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from nats.aio.client import Client

from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import ANSWER_S_MAX, direct_batch
from secaplane.eventlog.jetstream.messages import raw_event
from secaplane.eventlog.log import LogUnavailable, RawEvent

BATCH_BYTES_MAX = 4 * 1024 * 1024
LAGGING_S = 0.05


async def read_addresses(
    nats: Client, stream: str, subjects: str
) -> AsyncGenerator[Sequence[RawEvent], None]:
    """Batches of events, bounded in bytes. A server that lags may not have the newest ones: it is
    asked again for ANSWER_S_MAX before this ends.

    Raises:
        LogUnavailable: NATS does not answer.
    """
    after, clock = 0, asyncio.get_running_loop().time
    since = clock()
    while clock() - since < ANSWER_S_MAX:
        question = {"seq": after + 1, "next_by_subj": subjects, "max_bytes": BATCH_BYTES_MAX}
        try:
            arrived, _ = await direct_batch(nats, f"$JS.API.DIRECT.GET.{stream}", question)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(f"{stream} was not read after {after}") from error
        if not arrived:
            await asyncio.sleep(LAGGING_S)
            continue
        batch = [raw_event(each, stream) for each in arrived]
        after = batch[-1].position.sequence
        yield batch
        since = clock()
