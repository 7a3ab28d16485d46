"""The streams of an export: those of the log, and the security audit stream."""

from collections.abc import AsyncGenerator, Sequence

from nats.aio.client import Client

from secaplane.audit.siem.records import is_entry
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.api import direct_batch
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Followed, LogUnavailable, RawEvent
from secaplane.model.position import Position


class JetStreamSource:
    def __init__(self, nats: Client, log: JetStreamLog) -> None:
        self._nats, self._log = nats, log

    def follow_raw(
        self, stream: str, *, after: Position
    ) -> AsyncGenerator[Sequence[RawEvent], None]:
        return self._log.follow_raw(stream, after=after)

    async def opened(self, batch: Sequence[RawEvent]) -> Sequence[Followed]:
        if batch and is_entry(batch[0]):
            return ()
        return await self._log.seals.shown(batch)

    async def has_more(self, stream: str, after: Position) -> bool:
        """True also where no server answers: then it is not known, and the follower goes on."""
        question = {"seq": after.sequence + 1, "next_by_subj": ">", "batch": 1}
        try:
            messages, _ = await direct_batch(self._nats, f"$JS.API.DIRECT.GET.{stream}", question)
        except CONNECTION_ERRORS:
            return True
        return bool(messages)

    async def refuse_ahead(self, after: Position) -> None:
        """Refuse a position that its stream has never given: the log is another one, or was
        restored from a backup.

        Raises:
            ValueError.
            LogUnavailable: the server did not answer, or has no such stream.
        """
        end = await self._log.given_up_to(after.stream)
        if end.sequence < after.sequence:
            raise ValueError(
                f"the position {after} is after the end of its stream, {end.sequence}: the log is "
                "another one, or was restored from a backup"
            )

    async def exists(self, stream: str) -> bool:
        """Raises LogUnavailable where the server did not answer."""
        try:
            await self._log.given_up_to(stream)
        except LogUnavailable as error:
            if "not found" in str(error):
                return False
            raise
        return True
