"""Audit entries about the start and the stop of a process.

They are published by threads and connections of their own, so that neither start nor stop waits for
them: the start until the stream has it, the stop for at most STOP_S_MAX. A process that is killed
leaves no entry about its stop; the next start shows that.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from secrets import token_hex
from threading import Event, Thread

from secaplane.audit.entries import EntryCaller, EntryType, ProcessFacts, entry
from secaplane.audit.stream import AuditStream, PendingEntry, PublishResult
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connect_nats, now
from secaplane.cli.processes.lifecycle.clock import clock_reading
from secaplane.cli.running import CUT_SHORT
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.actor import SYSTEM

STOP_S_MAX = 1.0
RETRY_S, RETRY_S_MAX = 0.5, 60.0
NOT_RECORDED: tuple[type[Exception], ...] = (LogUnavailable, BadConfig, *CONNECTION_ERRORS)
log = logging.getLogger("secaplane.lifecycle")

PublishAll = Callable[[Sequence[PendingEntry]], Awaitable[None]]
"""Returns when the stream has the entries, or rejects them."""


@cache
def release() -> str:
    """The version of this release."""
    try:
        return version("secaplane")
    except PackageNotFoundError:
        return "unknown"


class ProcessLife:
    """One run of a process."""

    def __init__(self, name: str, publish: PublishAll) -> None:
        self._name, self._publish = name, publish
        self._instance, self._start_recorded = token_hex(8), Event()
        self._started = self._entry("process-started", "start")

    def recorded(self, run: Callable[[], int]) -> int:
        """The exit status that `run` returns; its start and its stop are recorded. A process that a
        second signal ended at once records no stop."""
        self._in_thread([self._started])
        try:
            status = run()
        except BaseException as error:
            self._stopped(f"ended by {type(error).__name__}")
            raise
        if status <= CUT_SHORT:
            self._stopped("stopped")
        return status

    def _stopped(self, reason: str) -> None:
        stopped = self._entry("process-stopped", "stop", f"{reason}, ")
        pending = [] if self._start_recorded.is_set() else [self._started]
        self._in_thread([*pending, stopped]).join(STOP_S_MAX)

    def _in_thread(self, entries: Sequence[PendingEntry]) -> Thread:
        """A daemon: the process ends whatever the thread waits for."""
        thread = Thread(target=self._record, args=(entries,), daemon=True, name="lifecycle")
        thread.start()
        return thread

    def _record(self, entries: Sequence[PendingEntry]) -> None:
        async def published() -> None:
            await self._publish(entries)

        try:
            asyncio.run(published())
            self._start_recorded.set()
        except NOT_RECORDED as error:
            log.info("start or stop is not recorded", extra={"reason": str(error)})

    def _entry(self, entry_type: EntryType, verb: str, reason: str = "") -> PendingEntry:
        clock = clock_reading()
        offset = f"clock offset {clock.offset_us} us" if clock else "clock offset unknown"
        facts = ProcessFacts(
            name=self._name,
            version=release(),
            instance=self._instance,
            clock_offset_us=clock.offset_us if clock else None,
            clock_error_us=clock.error_us if clock else None,
        )
        made = entry(
            entry_type,
            time=now(),
            request=self._instance,
            client_address="",
            caller=EntryCaller(sub=SYSTEM.sub),
            verb=verb,
            path=self._name,
            reason=f"{reason}version {release()}, instance {self._instance}, {offset}",
            process=facts,
        )
        return PendingEntry(f"{self._instance}-{verb}", made)


def life(config: Config, name: str) -> ProcessLife:
    return ProcessLife(name, partial(_publish, config))


async def _publish(config: Config, entries: Sequence[PendingEntry]) -> None:
    client = await connect_nats(config)
    try:
        stream = AuditStream(client, stream=config.nats.stream)
        await _until_stored(stream, entries)
    finally:
        await client.close()


async def _until_stored(stream: AuditStream, entries: Sequence[PendingEntry]) -> None:
    """Without end where the server does not answer: the stream may not exist yet, or the user has
    no permission for these entries."""
    delay_s, left = RETRY_S, list(entries)
    while True:
        results = await stream.publish(left)
        again = [
            each
            for each, result in zip(left, results, strict=True)
            if result is PublishResult.UNANSWERED
        ]
        if not again:
            return
        if delay_s == RETRY_S:
            log.info("not recorded yet", extra={"entries": [each.entry.type for each in again]})
        left = again
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, RETRY_S_MAX)
