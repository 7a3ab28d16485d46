"""Follow the log and keep every projection where the checkpoint says it is.

Rows and checkpoints move in one statement, so a batch seen twice lands once. One event cannot
stop the house: a batch that cannot be applied is halved until the event is alone, and its address
goes into quarantine. A missing position does stop it: what comes after a gap is not history.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from asyncpg import Pool

from secaplane.eventlog.log import Followed, Log, LogUnavailable
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING, Position, position
from secaplane.model.shape import Ref, Resource
from secaplane.projector import statement
from secaplane.projector.folding import ProjectedEvent, fold
from secaplane.projector.projections import resources
from secaplane.projector.statement import PROJECTIONS
from secaplane.readmodel import questions
from secaplane.readmodel.announcements import ANNOUNCE_EVERY_S, Announcer
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE

KNOWN_MAX = 4096
"""Resources kept in memory between batches, so that most batches need not read their rows."""
REASON_LENGTH_MAX = 1000
RETRY_S = 0.5
log = logging.getLogger("secaplane.projector")


class LogGap(Exception):
    """The log skipped a position."""


class CheckpointRolledBack(Exception):
    """The rows know less than they did: a database that crashed forgets its last moments."""


@dataclass
class Projector:
    """One projector of one stream; `position`, `trouble` and `quarantined` are for onlookers."""

    pool: Pool
    events: Log
    announcer: Announcer
    stream: str
    region: str
    position: Position = BEGINNING
    trouble: str = ""
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _epoch: int = 0
    _stuck_at: Position | None = None
    """Where the last gap was found: it is still there until something gets past."""
    _sick: frozenset[Ref] = frozenset()
    _known: dict[Ref, Resource] = field(default_factory=dict)
    _advanced: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._announce())

    async def _follow(self) -> None:
        while True:
            try:
                await self.begin()
                await self._refuse_younger_log()
                if self.position != self._stuck_at:
                    self.trouble = ""
                self.started.set()
                async for batch in self.events.follow(self.stream, after=self.position):
                    await self._take(batch)
            except CheckpointRolledBack:
                log.warning(
                    "the database forgot its last moments", extra={"to": str(self.position)}
                )
            except LogGap as gap:
                self._stuck_at, self.trouble = self.position, str(gap)
                log.critical("the log has a gap", extra={"reason": str(gap)})
            except LogUnavailable as error:
                self.trouble = f"the log is away: {error}"
            except DATABASE_UNAVAILABLE as error:
                self.trouble = f"the database is away: {type(error).__name__}"
                log.warning("the database is away", extra={"reason": repr(error)})
            await asyncio.sleep(RETRY_S)

    async def _take(self, batch: Sequence[Followed]) -> None:
        if batch:
            await self.project(batch)
            self.trouble = ""
            self._advanced.set()
        else:
            await self._refuse_taken_back()

    async def _announce(self) -> None:
        """Silent while in trouble: nobody shall wait for rows that do not come."""
        while True:
            try:
                async with asyncio.timeout(ANNOUNCE_EVERY_S):
                    await self._advanced.wait()
            except TimeoutError:
                pass
            self._advanced.clear()
            if self.started.is_set() and not self.trouble:
                await self.announcer.announce(self.position)

    async def _refuse_younger_log(self) -> None:
        """Rows that know more than the log: it was restored from a backup, or it is another."""
        end = await self.events.end(self.stream)
        if end < self.position:
            raise LogGap(
                f"the log ends at {end}, and the rows are at {self.position}; rebuild them"
            )

    async def _refuse_taken_back(self) -> None:
        """While nothing happens, nothing else would notice."""
        found = await questions.checkpoint(self.pool, resources.NAME, self.stream)
        if found < self.position:
            self.position = found
            raise CheckpointRolledBack

    async def begin(self) -> Position:
        """Make the checkpoints, where there are none; answers where to go on."""
        for projection in PROJECTIONS:
            await self.pool.execute(
                "insert into checkpoints (projection, stream) values ($1, $2)"
                " on conflict do nothing",
                projection.NAME,
                self.stream,
            )
        await self._catch_up()
        return self.position

    async def project(self, batch: Sequence[Followed]) -> Position:
        """Take a batch to the rows; answers the checkpoint reached.

        Raises:
            Gap: the batch does not begin where the checkpoint ends.
        """
        for readable, some in groupby(batch, lambda each: isinstance(each, RecordedEvent)):
            if readable:
                await self._project([each for each in some if isinstance(each, RecordedEvent)])
            else:
                for blank in some:
                    await self._quarantine(blank, getattr(blank, "reason", ""))
        return self.position

    async def _project(self, events: Sequence[RecordedEvent]) -> None:
        try:
            while not await self._write(events):
                await self._refuse_taken_back()
                await self._catch_up()  # another projector of this stream was faster
        except (LogGap, CheckpointRolledBack, *DATABASE_UNAVAILABLE):
            raise
        except Exception as error:  # whatever one event breaks must not stop the others
            await self._catch_up()
            if len(events) > 1:
                middle = len(events) // 2
                await self._project(events[:middle])
                await self._project(events[middle:])
            else:
                await self._quarantine(events[0], f"{type(error).__name__}: {error}")

    async def _write(self, events: Sequence[RecordedEvent]) -> bool:
        """False when the checkpoint was not where it was left: then nothing was written."""
        fresh = [each for each in events if each.position > self.position]
        if not fresh:
            return True
        _refuse_gaps(self.position, fresh)
        readable = [each for each in fresh if each.ref not in self._sick]
        folded = fold(await self._before(readable), readable, self.region)
        end = fresh[-1].position
        parts = statement.filled(folded)
        moved = await self.pool.fetchval(
            statement.write(parts),
            self.stream,
            self.position.sequence,
            end.sequence,
            self._epoch,
            *statement.arguments(parts),
        )
        if not moved:
            return False
        self._remember(folded)
        self.position = end
        return True

    async def _before(self, events: Sequence[RecordedEvent]) -> dict[Ref, Resource]:
        """The resources as they were before a batch; rows are read only of those that had a life
        before and are not remembered."""
        first = {each.ref: each for each in reversed(events)}
        known = {ref: self._known[ref] for ref in first if ref in self._known}
        older = [ref for ref, each in first.items() if each.previous != BEGINNING]
        unknown = [ref for ref in older if ref not in known]
        return known | (await resources.latest(self.pool, unknown) if unknown else {})

    def _remember(self, folded: Sequence[ProjectedEvent]) -> None:
        if len(self._known) > KNOWN_MAX:
            self._known.clear()
        for each in folded:
            self._known[each.event.ref] = each.resource

    async def _catch_up(self) -> None:
        """See how things are, and forget how they were."""
        self._known.clear()
        row = await self.pool.fetchrow(
            "select position, epoch from checkpoints where projection = $1 and stream = $2",
            resources.NAME,
            self.stream,
        )
        assert row is not None, "the checkpoints are made before anything is projected"
        self.position, self._epoch = position(self.stream, row[0]), row[1]
        self._sick = frozenset(await questions.quarantine(self.pool))

    @property
    def quarantined(self) -> int:
        return len(self._sick)

    async def _quarantine(self, culprit: Followed, reason: str) -> None:
        """Its address answers an error from now on; everybody else goes on."""
        ref = culprit.ref
        said = {
            "ref": f"{ref.kind} {ref.path}",
            "position": str(culprit.position),
            "reason": reason,
        }
        async with self.pool.acquire() as connection, connection.transaction():
            moved = await connection.execute(
                "update checkpoints set position = $3, epoch = epoch + 1"
                " where stream = $1 and position = $2",
                self.stream,
                culprit.position.sequence - 1,
                culprit.position.sequence,
            )
            if moved != "UPDATE 0":
                log.error("quarantined", extra=said)
                await connection.execute(
                    "insert into quarantine values ($1, $2, $3, $4, $5) on conflict do nothing",
                    ref.kind,
                    ref.path,
                    self.stream,
                    culprit.position.sequence,
                    reason[:REASON_LENGTH_MAX].replace("\0", ""),
                )
                await connection.execute(
                    "update resources set quarantined = true where kind = $1 and path = $2",
                    ref.kind,
                    ref.path,
                )
        await self._catch_up()
        if self.position < culprit.position:
            _refuse_gaps(self.position, [culprit])


def _refuse_gaps(checkpoint: Position, fresh: Sequence[Followed]) -> None:
    for expected, each in enumerate(fresh, start=checkpoint.sequence + 1):
        if each.position.sequence != expected:
            raise LogGap(f"sequence {expected} is missing; the log went on at {each.position}")
