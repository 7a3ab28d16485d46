"""The log on NATS JetStream: one subject for each resource, in one stream or two.

docs/jetstream.md says what JetStream guarantees and what it does not. In short: appends carry an
expected last sequence (optimistic concurrency), questions about the last position go to the
stream's leader, histories are read by batched direct gets, and followers pull by sequence.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial

from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.append_health import AppendHealth
from secaplane.eventlog.capacity import Capacity
from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.decoding import address_of, readable
from secaplane.eventlog.event_seals import ClearEvents, EventSeals
from secaplane.eventlog.jetstream.api import (
    ANSWER_S_MAX,
    EXPECTED,
    PREPARE_S_MAX,
    StoredMessage,
    decode_answer,
    direct_batch,
    json,
    request,
)
from secaplane.eventlog.jetstream.capacity import read_capacity
from secaplane.eventlog.jetstream.follow import follow_raw
from secaplane.eventlog.jetstream.messages import raw_event, sequence_of
from secaplane.eventlog.jetstream.positions import NO_MESSAGE_FOUND, StreamPositions
from secaplane.eventlog.jetstream.shared_sync import JetStreamBatches, SharedSyncAppends
from secaplane.eventlog.log import (
    Followed,
    LogUnavailable,
    PrefixExpectation,
    RawEvent,
    VersionConflict,
)
from secaplane.eventlog.losses.acknowledged import AcknowledgedHoles
from secaplane.eventlog.losses.holes import Acknowledgement
from secaplane.eventlog.snapshots import probe_subject
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import ALL_SUBJECTS, every, prefix, subject
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.position import BEGINNING, Position, position
from secaplane.model.shape import Ref

PUBLISH_S_MAX = 1.5
WRONG_LAST_SEQUENCE = (10071, 10164)
SUBJECTS_OVERLAP = 10065
EXPECTED_OF = "Nats-Expected-Last-Subject-Sequence-Subject"
PAYLOAD_BYTES_MIN = 4 * 1024 * 1024
READ_BYTES_MAX = 4 * 1024 * 1024
"""Of one batch of a history; at least one event is read."""
PROBE, NEVER = "append-probe", str(2**63 - 1)
"""Last token of the subject of a probe, and a sequence that no subject reaches."""
LAGGING_S = 0.01
"""Before a replica that lags behind the leader is asked again."""


class JetStreamLog:
    """The log of one region.

    The client must have been connected with `pending_size=0`, so that nothing is buffered through a
    reconnect and delivered later.
    """

    def __init__(
        self,
        nats: Client,
        *,
        streams: Streams,
        region: str,
        shares_syncs: bool = False,
        seals: EventSeals | None = None,
    ) -> None:
        """`shares_syncs`: appends of different resources that are made at the same time may be
        published as one batch, while `share_syncs` runs. No `seals`: events are in clear."""
        self._nats, self._streams, self._region = nats, streams, region
        self.seals = seals or ClearEvents()
        self._batches = JetStreamBatches(nats, streams=streams, region=region)
        self._shared = (
            SharedSyncAppends(self._append, self._batches.append, streams.of)
            if shares_syncs
            else None
        )
        self._ask = partial(request, nats, decode_answer)
        self.appends = AppendHealth(streams.names)
        self.positions = StreamPositions(nats, streams.names)
        self.integrity = self.positions.integrity
        self.holes = AcknowledgedHoles(nats, stream=streams.names[0])

    @property
    def streams(self) -> Streams:
        return self._streams

    async def prepare(self, *, replicas: int = 1) -> None:
        """Create the streams that do not exist yet; those that exist stay as they are.

        Raises:
            ValueError: the server would refuse an event of the largest size, or the log was created
                with other streams.
            LogUnavailable: the server did not answer, or refused.
        """
        if self._nats.max_payload < PAYLOAD_BYTES_MIN:
            raise ValueError(
                f"NATS allows {self._nats.max_payload} bytes a message; set max_payload to at "
                f"least {PAYLOAD_BYTES_MIN}"
            )
        for stream in self._streams.names:
            if not await self._exists(stream):
                await self._create(stream, replicas)

    async def share_syncs(self) -> None:
        """Publishes the appends of a log that shares syncs. Runs until it is cancelled."""
        if self._shared is not None:
            await self._shared.run()

    async def exists(self) -> bool:
        """True if every stream has been created."""
        return all([await self._exists(stream) for stream in self._streams.names])

    async def append(
        self, new_event: NewEvent, *, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        if not isinstance(new_event.event, Closed):  # the exit of a resource that has lost an event
            await self.positions.refuse_damaged(new_event.ref)
        new_event = await self.seals.sealed(new_event)
        if self._shared is not None and expectation is None:
            recorded = await self._shared.append(new_event)
        else:
            recorded = await self._append(new_event, expectation)
        self.integrity.know(recorded.position)
        return recorded

    async def _append(
        self, new_event: NewEvent, expectation: PrefixExpectation | None = None
    ) -> RecordedEvent:
        expected = expectation.after if expectation else new_event.previous
        headers = {EXPECTED: str(expected.sequence)}
        if expectation is not None:
            headers[EXPECTED_OF] = prefix(expectation.around, self._region)
        stream = self._streams.of(new_event.ref.kind)
        address, data = subject(new_event.ref, self._region), encode(new_event, stream)
        refusals = self.appends.events[stream]
        try:
            sequence = await self._published(address, data, headers)
        except LogUnavailable as error:
            refusals.refused(str(error))
            raise
        if sequence is None:
            raise VersionConflict  # answered before the server has looked for space
        refusals.accepted()
        return new_event.at(Position(stream, sequence))

    async def probe_appends(self) -> None:
        """Ask every stream to append under an expectation that never holds, so that nothing is
        recorded, and write a key of the bucket of snapshots; `appends` has the outcome."""
        for stream in self._streams.names:
            place = self._streams.subjects(stream, self._region)[0].removesuffix(">")
            refusal = await self._refusal(f"{place}{PROBE}", {EXPECTED: NEVER})
            self.appends.probed(self.appends.questions[stream], refusal)
        refusal = await self._refusal(probe_subject(self._streams.names[0]), {})
        self.appends.probed(self.appends.storage, refusal)

    async def capacity(self) -> Capacity:
        """Raises LogUnavailable."""
        return await read_capacity(self._nats, self._streams.names)

    async def _refusal(self, address: str, headers: dict[str, str]) -> str:
        """The reason why an empty message is refused; empty if it is not."""
        try:
            await self._published(address, b"", headers)
        except LogUnavailable as error:
            return str(error)
        return ""

    async def _published(self, address: str, data: bytes, headers: dict[str, str]) -> int | None:
        """The sequence of a message that was appended; None where its expectation did not hold.

        Raises:
            LogUnavailable: no answer came, or another refusal.
        """
        answer = await self._ask(address, data, seconds=PUBLISH_S_MAX, headers=headers)
        if answer.error is None:
            return answer.seq
        if answer.error.err_code in WRONG_LAST_SEQUENCE:
            return None
        raise LogUnavailable(answer.error.description)

    async def last(self, ref: Ref) -> Position:
        return await self._last(self._streams.of(ref.kind), subject(ref, self._region))

    async def latest(self, ref: Ref) -> RecordedEvent | None:
        stream, address = self._streams.of(ref.kind), subject(ref, self._region)
        message = await self._last_message(stream, address)
        if message is None:
            return None
        raw = RawEvent(Position(stream, message.seq), address, {}, message.data)
        return readable(await self.seals.followed([raw]))[0]

    async def last_within(self, ref: Ref) -> Position:
        return await self._last(self._streams.of(ref.kind), prefix(ref, self._region))

    async def last_of(self, kind: str) -> Position:
        return await self._last(self._streams.of(kind), every(kind, self._region))

    async def end(self, stream: str) -> Position:
        last = await self._last(stream, ALL_SUBJECTS)
        # a server that has lost a stream's last event finds none at all
        return last or await self.given_up_to(stream)

    async def given_up_to(self, stream: str) -> Position:
        return await self.positions.given_up_to(stream)

    async def acknowledged(self) -> list[Acknowledgement]:
        return await self.holes.read()

    async def read(
        self, ref: Ref, *, after: Position = BEGINNING, up_to: Position | None = None
    ) -> tuple[RecordedEvent, ...]:
        end = await self.last(ref) if up_to is None else up_to
        some = await self._read(ref.kind, subject(ref, self._region), after, end)
        return readable(some, None if after else BEGINNING)

    async def history(self, ref: Ref) -> tuple[Followed, ...]:
        """A server that has lost the last event of a subject knows no last position, so the
        subject is read to its end."""
        end = await self.last(ref)
        stream, subjects = self._streams.of(ref.kind), subject(ref, self._region)
        some = [*await self._read(ref.kind, subjects, BEGINNING, end)]
        while rest := await self._rest(stream, subjects, some[-1].position if some else BEGINNING):
            some += rest
        return tuple(some)

    async def _rest(self, stream: str, subjects: str, after: Position) -> tuple[Followed, ...]:
        """The events of some subjects after a position that one server has, bounded in bytes."""
        question = {
            "seq": after.sequence + 1,
            "next_by_subj": subjects,
            "max_bytes": READ_BYTES_MAX,
        }
        try:
            arrived, _ = await direct_batch(self._nats, f"$JS.API.DIRECT.GET.{stream}", question)
        except CONNECTION_ERRORS as error:
            raise LogUnavailable("the end of a history was not read") from error
        return await self._followed(stream, arrived)

    async def read_batches(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        stream, subjects = self._streams.of(ref.kind), subject(ref, self._region)
        batches = self._message_batches(stream, subjects, after, up_to)
        async with contextlib.aclosing(batches):
            async for messages in batches:
                yield await self._followed(stream, messages)

    async def read_within(
        self, ref: Ref, *, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        return await self._read(ref.kind, prefix(ref, self._region), after, up_to)

    async def touched(
        self, kind: str, *, after: Position, up_to: Position
    ) -> Mapping[Ref, Position]:
        stream, subjects = self._streams.of(kind), every(kind, self._region)
        raws = [
            raw_event(each, stream) for each in await self._messages(stream, subjects, after, up_to)
        ]
        return {address_of(each.subject): each.position for each in raws}

    async def follow(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[Followed], None]:
        async with contextlib.aclosing(self.follow_raw(stream, after=after)) as batches:
            async for batch in batches:
                yield await self.seals.followed(batch, patient=True)

    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        return follow_raw(self._nats, stream, self._consumer, after=after)

    async def _consumer(self, request: str, question: bytes) -> str:
        answer = await self._ask(request, question)
        if not answer.name:
            raise LogUnavailable(answer.error.description if answer.error else "no consumer")
        return answer.name

    async def _exists(self, stream: str) -> bool:
        known = await self._ask(f"$JS.API.STREAM.INFO.{stream}", b"")
        return known.error is None

    async def _create(self, stream: str, replicas: int) -> None:
        config = {
            "name": stream,
            "subjects": list(self._streams.subjects(stream, self._region)),
            "storage": "file",
            "retention": "limits",
            "num_replicas": replicas,
            "allow_direct": True,
            "allow_atomic": True,
            "deny_delete": True,
            "deny_purge": True,
        }
        created = await self._ask(
            f"$JS.API.STREAM.CREATE.{stream}", json(config), seconds=PREPARE_S_MAX
        )
        if created.error is None:
            return
        if created.error.err_code == SUBJECTS_OVERLAP:
            raise ValueError(
                f"another stream records the subjects of {stream} already: the set of streams is "
                "fixed when the log is created (nats.stream, nats.global_stream)"
            )
        raise LogUnavailable(created.error.description)

    async def _last(self, stream: str, subjects: str) -> Position:
        message = await self._last_message(stream, subjects)
        return BEGINNING if message is None else position(stream, message.seq)

    async def _last_message(self, stream: str, subjects: str) -> StoredMessage | None:
        question = json({"last_by_subj": subjects})
        answer = await self._ask(f"$JS.API.STREAM.MSG.GET.{stream}", question)
        if answer.message is not None:
            return answer.message
        if answer.error is not None and answer.error.err_code == NO_MESSAGE_FOUND:
            return None
        raise LogUnavailable(
            answer.error.description if answer.error else "no message in the answer"
        )

    async def _read(
        self, kind: str, subjects: str, after: Position, up_to: Position
    ) -> tuple[Followed, ...]:
        stream = self._streams.of(kind)
        return await self._followed(stream, await self._messages(stream, subjects, after, up_to))

    async def _followed(self, stream: str, messages: Sequence[Msg]) -> tuple[Followed, ...]:
        return tuple(await self.seals.followed([raw_event(each, stream) for each in messages]))

    async def _messages(
        self, stream: str, subjects: str, after: Position, up_to: Position
    ) -> list[Msg]:
        messages: list[Msg] = []
        async with contextlib.aclosing(
            self._message_batches(stream, subjects, after, up_to)
        ) as batches:
            async for batch in batches:
                messages += batch
        return messages

    async def _message_batches(
        self, stream: str, subjects: str, after: Position, up_to: Position
    ) -> AsyncGenerator[list[Msg], None]:
        """A direct get may be answered by a replica that lags behind the leader who named `up_to`:
        the missing part is asked for again until it arrives, or the time for one batch is up."""
        begin, end = after.sequence, up_to.sequence
        while begin < end:
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    arrived = await self._next_messages(stream, subjects, begin)
            except CONNECTION_ERRORS as error:
                raise LogUnavailable(f"history up to {up_to} was not read") from error
            begin = sequence_of(arrived[-1])
            yield [each for each in arrived if sequence_of(each) <= end]

    async def _next_messages(self, stream: str, subjects: str, begin: int) -> list[Msg]:
        """The next messages after a sequence; waits until there are some."""
        question = {"seq": begin + 1, "next_by_subj": subjects, "max_bytes": READ_BYTES_MAX}
        while True:
            arrived, _ = await direct_batch(self._nats, f"$JS.API.DIRECT.GET.{stream}", question)
            if arrived:
                return arrived
            await asyncio.sleep(LAGGING_S)
