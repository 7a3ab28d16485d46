"""Appends of one process that share a sync of the log.

Up to LANES_MAX appends are on their way at a time. What comes meanwhile waits, and where enough
waits, it is published as one atomic batch: each event keeps its own expected position, and all are
recorded or none. The slower the log is, the more events share a sync (docs/decisions/046).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from secrets import token_hex

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import EXPECTED, ServerError, request
from secaplane.eventlog.log import LogUnavailable, VersionConflict
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import subject
from secaplane.model.errors import ContentTooLarge
from secaplane.model.events import RecordedEvent
from secaplane.model.position import Position

LANES_MAX = 3
"""Appends of this process at a time: one stream syncs one message after the other, and writes of
users go first."""
BATCH_MIN, BATCH_MAX = 12, 64
"""Events in a batch. With one replica, NATS 2.15 needs four syncs and 3.5 ms of CPU for a batch of
any size, and one sync and 0.33 ms for a message: fewer than BATCH_MIN are cheaper one by one."""
BATCH_BYTES_MAX = 1024 * 1024
"""Of a batch; a larger event goes alone."""
COMMIT_S_MAX = 1.5

AppendBatch = Callable[[Sequence[NewEvent]], Awaitable[Sequence[RecordedEvent] | None]]
"""Events of different resources in one stream -> the recorded events; None where the log refused
them, and recorded none. Raises LogUnavailable: all are recorded, or none."""


class _Answer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    seq: int = 0
    count: int = 0


_answer = msgspec.json.Decoder(_Answer).decode


class JetStreamBatches:
    """Atomic batches on NATS JetStream: the messages of a batch get consecutive sequences."""

    def __init__(self, nats: Client, *, streams: Streams, region: str) -> None:
        self._nats, self._streams, self._region = nats, streams, region

    async def append(self, new_events: Sequence[NewEvent]) -> Sequence[RecordedEvent] | None:
        """As `AppendBatch`."""
        stream, batch = self._streams.of(new_events[0].ref.kind), token_hex(16)
        *first, last = [
            self._message(stream, batch, number, each)
            for number, each in enumerate(new_events, start=1)
        ]
        try:
            for address, data, headers in first:
                await self._nats.publish(address, data, headers=headers)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable(str(error) or type(error).__name__) from error
        address, data, headers = last
        commit = headers | {"Nats-Batch-Commit": "1"}
        answer = await request(
            self._nats, _answer, address, data, seconds=COMMIT_S_MAX, headers=commit
        )
        if answer.error is not None or answer.count != len(new_events):
            return None
        begin = answer.seq - len(new_events) + 1
        return [each.at(Position(stream, begin + n)) for n, each in enumerate(new_events)]

    def _message(
        self, stream: str, batch: str, number: int, new_event: NewEvent
    ) -> tuple[str, bytes, dict[str, str]]:
        headers = {
            EXPECTED: str(new_event.previous.sequence),
            "Nats-Batch-Id": batch,
            "Nats-Batch-Sequence": str(number),
        }
        return subject(new_event.ref, self._region), encode(new_event, stream), headers


@dataclass(eq=False, slots=True)
class _Waiting:
    new_event: NewEvent
    recorded: asyncio.Future[RecordedEvent]


class SharedSyncAppends:
    """For a process that appends events of many resources at the same time."""

    def __init__(
        self,
        alone: Callable[[NewEvent], Awaitable[RecordedEvent]],
        batches: AppendBatch,
        stream_of: Callable[[str], str],
    ) -> None:
        """`stream_of`: the stream of a kind."""
        self._append_alone, self._batches, self._stream_of = alone, batches, stream_of
        self._waiting = deque[_Waiting]()
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Appends what is given to `append`. Runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES_MAX):
                group.create_task(self._lane())

    async def append(self, new_event: NewEvent) -> RecordedEvent:
        """As `Log.append` without an expectation of its own. Waits for `run`."""
        recorded: asyncio.Future[RecordedEvent] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(new_event, recorded))
        self._arrived.set()
        return await recorded

    async def _lane(self) -> None:
        while True:
            some = self._next()
            if not some:
                self._arrived.clear()
                await self._arrived.wait()
            elif len(some) < BATCH_MIN or not await self._batch_recorded(some):
                for each in some:
                    await self._alone(each)

    def _next(self) -> list[_Waiting]:
        """One event, or a batch of those that wait: at most one of each resource."""
        while self._waiting and self._waiting[0].recorded.done():
            self._waiting.popleft()  # its caller was cancelled
        if len(self._waiting) < BATCH_MIN:
            return [self._waiting.popleft()] if self._waiting else []
        some, left, refs, size = list[_Waiting](), deque[_Waiting](), set[object](), 0
        stream = self._stream(self._waiting[0])
        for each in self._waiting:
            ref = each.new_event.ref
            fits = len(some) < BATCH_MAX and ref not in refs and self._stream(each) == stream
            if fits and (not some or size + self._bytes(each) <= BATCH_BYTES_MAX):
                if not each.recorded.done():
                    some.append(each)
                    size += self._bytes(each)
            else:
                left.append(each)
            refs.add(ref)
        self._waiting = left
        return some

    def _stream(self, waiting: _Waiting) -> str:
        return self._stream_of(waiting.new_event.ref.kind)

    def _bytes(self, waiting: _Waiting) -> int:
        try:
            return len(encode(waiting.new_event, self._stream(waiting)))
        except ContentTooLarge:  # it goes alone, and its caller is refused
            return BATCH_BYTES_MAX + 1

    async def _batch_recorded(self, some: Sequence[_Waiting]) -> bool:
        """False where the log refused the batch, and recorded nothing: one of the events conflicts,
        or this stream takes no batches."""
        try:
            recorded = await self._batches([each.new_event for each in some])
        except LogUnavailable as error:
            for each in some:
                _fail(each, LogUnavailable(str(error)))
            return True
        if recorded is None:
            return False
        for each, event in zip(some, recorded, strict=True):
            if not each.recorded.done():
                each.recorded.set_result(event)
        return True

    async def _alone(self, waiting: _Waiting) -> None:
        if waiting.recorded.done():
            return
        try:
            event = await self._append_alone(waiting.new_event)
        except (VersionConflict, LogUnavailable, ContentTooLarge) as error:
            _fail(waiting, error)
            return
        if not waiting.recorded.done():
            waiting.recorded.set_result(event)


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.recorded.done():
        waiting.recorded.set_exception(error)
