"""Answers of the notary about the heads of tenant lives, and about tiles, for processes that record
the heads and export the history of a tenant."""

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import msgspec
from nats.aio.client import Client

from secaplane.audit.heads import link
from secaplane.audit.heads.kept import HeadsSnapshot, KeptHeads
from secaplane.audit.heads.offer import HeadsNotKept, OfferRequest, TileRequest, offered, read_tile
from secaplane.audit.heads.unavailable import NotaryUnavailable
from secaplane.audit.notary.leaves import CommittedEvent
from secaplane.audit.notary.log_files import LogFiles
from secaplane.audit.notary.stream_notary import EventSource, StreamNotary
from secaplane.cli.processes.stopping import Start
from secaplane.eventlog.codec import NOT_JSON

FOLLOWED_S_MAX, POLL_S = 5.0, 0.02
T = TypeVar("T")
log = logging.getLogger("secaplane.notary")


class HeadsAnswers:
    """`notaries`: of every stream, filled before the first request comes."""

    def __init__(
        self, source: EventSource, files: LogFiles, notaries: Sequence[StreamNotary], audit: str
    ) -> None:
        self._source, self._files, self._notaries = source, files, notaries
        self._audit = audit
        self._kept = KeptHeads(files)

    def recorded(self, event: CommittedEvent, data: bytes) -> None:
        """An entry about heads that the audit stream holds. One of another root is no error: the
        folder was lost, or the entry was not asked for by this notary. No export uses it."""
        if not self._kept.record(event, data):
            place = {"sequence": event.leaf.sequence}
            log.warning("an entry about heads is not of heads that are kept here", extra=place)

    def start(self, nats: Client, start: Start) -> None:
        answers = {link.HEADS: self._heads, link.PROOFS: self._proofs, link.TILE: self._tile}
        for subject, answering in answers.items():
            start(link.answer_requests(nats, subject, answering))

    async def _heads(self, body: bytes) -> bytes:
        """They include every event that was accepted before the request."""
        for each in self._notaries:
            await self._followed(each)
        taken = {each.stream: each.heads for each in self._notaries}
        known = {stream: heads for stream, heads in taken.items() if heads is not None}
        if len(known) < len(taken):
            raise NotaryUnavailable("the notary has stopped")
        snapshot = HeadsSnapshot(
            {stream: size for stream, (size, _) in known.items()},
            {stream: lives for stream, (_, lives) in known.items()},
        )
        return msgspec.json.encode(await asyncio.to_thread(self._kept.keep, snapshot))

    async def _followed(self, notary: StreamNotary) -> None:
        end = await self._source.given_up_to(notary.stream)
        try:
            async with asyncio.timeout(FOLLOWED_S_MAX):
                while True:
                    if notary.taken >= end.sequence:
                        return
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise NotaryUnavailable(f"the notary has not followed {notary.stream} yet") from error

    async def _proofs(self, body: bytes) -> bytes:
        asked = _decoded(body, OfferRequest)
        offer = partial(offered, self._files, self._kept, self._audit, asked, keep=True)
        try:
            return msgspec.json.encode(await asyncio.to_thread(offer))
        except HeadsNotKept:
            return b""

    async def _tile(self, body: bytes) -> bytes:
        asked = _decoded(body, TileRequest)
        return await asyncio.to_thread(read_tile, self._files, asked)


def _decoded(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except NOT_JSON as error:
        raise NotaryUnavailable(f"the request is malformed: {error}") from error
