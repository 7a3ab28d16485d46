"""The projector of the security audit stream. Its entries are no events: each becomes one row or
none, and rows follow what the stream removes by its limits, or has lost with the server that held
it.
"""

import logging
import time
from collections.abc import Sequence
from typing import cast

import asyncpg

from secaplane.audit.entry_log import EntryExtent, EntryLog
from secaplane.eventlog.log import Followed, LogUnavailable, RawEvent
from secaplane.eventlog.monotonic import end_reaching
from secaplane.model.position import Position
from secaplane.model.reasons import reason_of
from secaplane.projector.columns import Row
from secaplane.projector.entries.rows import INSERTED, rows
from secaplane.projector.run import Projector
from secaplane.projector.statement import arguments, written

PRUNED_EVERY_S = 30.0
UNSTORABLE = (ValueError, TypeError, LookupError, asyncpg.DataError)
log = logging.getLogger("secaplane.projector")
_EMPTY, _FILLED = written(()), written((INSERTED,))


class EntryProjector(Projector):
    """As `Projector`, for the stream of an `EntryLog`. There is no quarantine: an entry that cannot
    be read or stored has no row."""

    _touched: frozenset[str] | None = None
    """Subjects with rows since rows were pruned; None: all of them."""
    _pruned_at = float("-inf")

    @property
    def _entries(self) -> EntryLog:
        return cast(EntryLog, self.stream.log)

    async def project(self, batch: Sequence[Followed]) -> Position:
        entries = cast(Sequence[RawEvent], batch)
        new = [each for each in entries if each.position > self.position]
        if new:
            await self._project_entries(new)
        return self.position

    async def _project_entries(self, entries: Sequence[RawEvent]) -> None:
        made: Sequence[Row] = ()
        try:
            made = rows(entries)
            await self._written_once(entries, made)
        except UNSTORABLE as error:  # one entry must not stop the others
            await self._catch_up()
            if len(entries) > 1:
                middle = len(entries) // 2
                await self._project_entries(entries[:middle])
                await self._project_entries(entries[middle:])
                return
            where = {**self._where(), "entry": str(entries[0].position), "reason": reason_of(error)}
            log.error("entry left out", extra=where)
            await self._written_once(entries, ())

    async def _written_once(self, entries: Sequence[RawEvent], made: Sequence[Row]) -> None:
        """Write rows and checkpoint, unless another projector has."""
        end = entries[-1].position
        while self.position < end:
            moved = await self.pool.fetchval(
                _FILLED if made else _EMPTY,
                self.stream.name,
                self.position.sequence,
                end.sequence,
                self._epoch,
                *arguments([(INSERTED, made)] if made else []),
            )
            if moved:
                self.position = end
                if self._touched is not None:
                    self._touched |= {each.subject for each in entries}
                return
            await super()._compare_with_checkpoint()
            await self._catch_up()
            self._outpaced = True
            left = [each for each in entries if each.position > self.position]
            made = rows(left) if made else ()

    async def _take(self, batch: Sequence[Followed]) -> None:
        await super()._take(batch)
        if time.monotonic() - self._pruned_at > PRUNED_EVERY_S:
            await self._prune(await self._entries.extent())
            self._pruned_at = time.monotonic()

    async def _compare_with_log(self) -> None:
        """Rows that are ahead of the stream: its server has lost the newest entries, which were not
        on its disk. They lose theirs, because other entries get the same positions."""
        end = await end_reaching(self.stream.log, self.stream.name, self.position)
        if end < self.position:
            log.warning(
                "the audit stream has lost entries", extra={**self._where(), "end": str(end)}
            )
            async with self.pool.acquire() as connection, connection.transaction():
                await connection.execute(
                    "update checkpoints set position = $2, epoch = epoch + 1"
                    " where stream = $1 and position > $2",
                    self.stream.name,
                    end.sequence,
                )
                await connection.execute(
                    "delete from entries where stream = $1 and position > $2",
                    self.stream.name,
                    end.sequence,
                )
            await self._catch_up()
        self.reason = ""

    async def _compare_with_checkpoint(self) -> None:
        """Raises LogUnavailable, too, where the stream ends before the rows: they are compared with
        it anew."""
        await super()._compare_with_checkpoint()
        if (await self._entries.extent()).last < self.position.sequence:
            raise LogUnavailable(f"the audit stream ends before {self.position}")

    async def _prune(self, extent: EntryExtent) -> None:
        """Remove rows of entries that the stream has removed by its limits."""
        stream = self.stream.name
        await self.pool.execute(
            "delete from entries where stream = $1 and position < $2", stream, extent.first
        )
        touched, self._touched = self._touched, frozenset()
        if touched is None:
            found = await self.pool.fetch("select distinct subject from entries")
            touched = frozenset(row[0] for row in found)
        if touched and extent.per_subject:
            await self.pool.execute(_OVER_THE_LIMIT, stream, [*touched], extent.per_subject)


_OVER_THE_LIMIT = """
delete from entries using (
    select subject, (
        select position from entries as e where e.stream = $1 and e.subject = s.subject
        order by position desc offset $3 limit 1
    ) as position
    from unnest($2::text[]) as s (subject)
) as over
where entries.stream = $1 and entries.subject = over.subject and entries.position <= over.position
"""
