"""The positions that a stream has given, and those that its server can still read."""

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

import msgspec
from nats.aio.client import Client

from secaplane.eventlog.jetstream.api import ServerError, json, request
from secaplane.eventlog.jetstream.follow import follow_raw
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole, between
from secaplane.eventlog.losses.integrity import LogIntegrity
from secaplane.model.position import BEGINNING, Position, position
from secaplane.model.shape import Ref

NO_MESSAGE_FOUND = 10037
CONSUMERS_MAX = 16
"""Created until one is on the leader's node: NATS chooses one of the stream's nodes at random."""


class _State(msgspec.Struct, frozen=True):
    last_seq: int


class _Message(msgspec.Struct, frozen=True):
    seq: int


class _Cluster(msgspec.Struct, frozen=True):
    leader: str = ""


class _PositionAnswer(msgspec.Struct, frozen=True):
    error: ServerError | None = None
    state: _State | None = None
    message: _Message | None = None
    name: str = ""
    cluster: _Cluster | None = None
    """None where NATS is no cluster."""


_decode = msgspec.json.Decoder(_PositionAnswer).decode


class ScannedPart(NamedTuple):
    """A part of a stream, read from its beginning to its end."""

    reached: Position
    holes: Sequence[Hole]
    subjects: Sequence[str]
    """Of the events that are there, in order."""


class StreamPositions:
    """Questions to the leader of a stream. Its counts do not show a message that became unreadable
    while the server was stopped: only reading does. Each node reads its own store, and the leader
    judges appends by its own: so the leader's is the one that is compared."""

    def __init__(self, nats: Client, streams: Sequence[str]) -> None:
        self._nats, self._streams = nats, streams
        self.integrity = LogIntegrity()
        self._reconnects = 0
        self._leaders = dict[str, str]()
        """By stream: its leader when the ends were compared."""

    async def refuse_damaged(self, ref: Ref) -> None:
        """Refuse an append that the log must not take. Asks the server nothing, but after the
        connection was lost: it may have come back with less than it had.

        Raises:
            HistoryIncomplete, Unavailable, LogUnavailable: as `LogIntegrity.refuse_damaged`.
        """
        if self.reconnected:
            await self.compare_ends()
            self.integrity.doubt()
        await self.integrity.refuse_damaged(ref)

    @property
    def reconnected(self) -> bool:
        """True if the connection was lost since the ends of the streams were compared."""
        return bool(self._nats.stats["reconnects"] != self._reconnects)

    async def compare_ends(self) -> None:
        """Compare the end of each stream with the positions that it has given.

        Raises:
            LogUnavailable: a server did not answer.
        """
        reconnects = self._nats.stats["reconnects"]
        for stream in self._streams:
            self._leaders[stream] = await self._leader(stream)
            self.integrity.ends(stream, await self.given_up_to(stream))
        self._reconnects = reconnects

    async def led_by_others(self) -> bool:
        """True if a stream has another leader than when the ends of the streams were compared.

        Raises:
            LogUnavailable: a server did not answer, or a stream has no leader now.
        """
        return any([await self._leader(each) != self._leaders.get(each) for each in self._streams])

    async def given_up_to(self, stream: str) -> Position:
        """The last position that a stream has given to an event.

        Raises:
            LogUnavailable: the server did not answer.
        """
        _, last = await self._info(stream)
        return position(stream, last)

    async def _leader(self, stream: str) -> str:
        leader, _ = await self._info(stream)
        return leader

    async def _info(self, stream: str) -> tuple[str, int]:
        """The leader of a stream, empty without a cluster, and the last sequence that it has
        given."""
        answer = await request(self._nats, _decode, f"$JS.API.STREAM.INFO.{stream}", b"")
        if answer.state is None:
            raise LogUnavailable(answer.error.description if answer.error else "no state")
        leader = _leader_of(answer)
        if answer.cluster is not None and not leader:
            raise LogUnavailable(f"the stream {stream} has no leader")
        return leader, answer.state.last_seq

    async def _consumer_on_leader(self, subject: str, question: bytes) -> str:
        """The name of a new consumer that reads the store of the stream's leader (a
        `CreateConsumer`); those on other nodes are forgotten by the server."""
        leader = await self._leader(subject.rpartition(".")[2])
        for _ in range(CONSUMERS_MAX):
            made = await request(self._nats, _decode, subject, question)
            if not made.name:
                raise LogUnavailable(made.error.description if made.error else "no consumer")
            if made.cluster is None or leader in ("", made.cluster.leader):
                return made.name
        raise LogUnavailable(f"no consumer on {leader}, which leads the stream")

    async def scan(self, stream: str, *, up_to: Position) -> AsyncGenerator[ScannedPart, None]:
        """Every position up to another one, batch by batch, as the leader can read them.

        Raises:
            LogUnavailable: the server did not answer.
        """
        after, end = 0, up_to.sequence
        create = self._consumer_on_leader
        whole = follow_raw(self._nats, stream, create, after=BEGINNING, headers_only=True)
        async with contextlib.aclosing(whole) as batches:
            while after < end:
                batch = await anext(batches)
                asked = [each for each in batch if each.position <= up_to]
                there = [each.position.sequence for each in asked]
                if len(asked) < len(batch) or not (batch or await self._next(stream, after)):
                    there.append(end + 1)
                holes = [*between(stream, after, there)]
                after = min(there[-1], end) if there else after
                subjects = [each.subject for each in asked]
                yield ScannedPart(position(stream, after), holes, subjects)

    async def lacks(self, hole: Hole) -> bool:
        """True if the stream has given the positions of a hole, and has no event there.

        Raises:
            LogUnavailable: the server did not answer, or another one leads since: it may lag.
        """
        leader, given = await self._info(hole.stream)
        later = await self._next(hole.stream, hole.first - 1)
        if await self._leader(hole.stream) != leader:
            raise LogUnavailable(f"the stream {hole.stream} has another leader")
        return given >= hole.last and (later is None or later > hole.last)

    async def _next(self, stream: str, after: int) -> int | None:
        """The sequence of the first message after another one; None if there is none."""
        question = json({"seq": after + 1, "next_by_subj": ">"})
        address = f"$JS.API.STREAM.MSG.GET.{stream}"
        answer = await request(self._nats, _decode, address, question)
        if answer.error is not None and answer.error.err_code != NO_MESSAGE_FOUND:
            raise LogUnavailable(answer.error.description)
        return answer.message.seq if answer.message else None


def _leader_of(answer: _PositionAnswer) -> str:
    return answer.cluster.leader if answer.cluster else ""
