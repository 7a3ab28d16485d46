"""Records the heads of all tenant lives in the audit stream: the notary computes them and cannot
append, a process that accepts writes appends and has no signing key.

Once in `notary.heads_minutes`, whichever of these processes finds the newest entry too old, and
whenever an export asks for it.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from nats.aio.client import Client

from secaplane.audit.entries import HEADS_SUBJECT, HeadsFacts, decode, heads_entry
from secaplane.audit.heads import link
from secaplane.audit.heads.unavailable import NotaryUnavailable
from secaplane.audit.stream import AuditStream, PendingEntry
from secaplane.eventlog.codec import NOT_JSON, Undecodable
from secaplane.eventlog.log import LogUnavailable

QUEUE = "command"
CHECK_INTERVAL_S = 30.0
SPACING_S = 1.0
"""Least time between two entries of one process, however many exports ask."""
log = logging.getLogger("secaplane.heads")


class HeadsPublication:
    def __init__(
        self, nats: Client, audit: AuditStream, every: timedelta, clock: Callable[[], datetime]
    ) -> None:
        self._nats, self._audit, self._every, self._clock = nats, audit, every, clock
        self._one = asyncio.Lock()
        self._began, self._sequence = float("-inf"), 0

    async def run(self) -> None:
        """Answer exports, and record the heads in time; without end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(
                link.answer_requests(self._nats, link.PUBLISH, self._answer, queue=QUEUE)
            )
            group.create_task(self._in_time())

    async def publish(self) -> int:
        """Record heads that include every event that the notary has taken when this is called; the
        sequence of the entry. Calls at the same time share one.

        Raises:
            LogUnavailable: the notary or the stream does not answer.
        """
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        async with self._one:
            if self._began >= asked_at:
                return self._sequence
            await asyncio.sleep(max(0.0, self._began + SPACING_S - clock()))
            began = clock()
            data = await link.ask(self._nats, link.HEADS)
            try:
                facts = msgspec.json.decode(data, type=HeadsFacts)
            except NOT_JSON as error:
                raise NotaryUnavailable(f"heads of another release: {error}") from error
            made = PendingEntry(f"heads-{facts.root.hex()}", heads_entry(facts, time=self._clock()))
            self._sequence = await self._audit.append(made)
            self._began = began
            return self._sequence

    async def _answer(self, body: bytes) -> bytes:
        return b"%d" % await self.publish()

    async def _in_time(self) -> None:
        while True:
            try:
                if await self._due():
                    await self.publish()
            except LogUnavailable as error:
                log.debug("the heads were not recorded", extra={"reason": str(error)})
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _due(self) -> bool:
        data = await self._audit.newest(HEADS_SUBJECT)
        try:
            return data is None or self._clock() - decode(data).time >= self._every
        except Undecodable:
            return True
