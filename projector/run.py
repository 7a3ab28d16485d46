"""A projector: it keeps one read model at the end of one stream.

Rows and checkpoint move in one statement, so a batch that is delivered twice is written once. One
event cannot stop a projector: a batch that cannot be applied is halved until the event is alone,
and the event's resource goes into quarantine, until an event closes its history. Three things do
stop it until they are repaired: the log or the database is unavailable; a position is missing (what
follows a gap is not the history); the tables do not fit (a schema defect is no event's fault, and
no event is put into quarantine).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from asyncpg import Pool

from secaplane.eventlog.log import Followed, LogUnavailable, UndecodableEvent
from secaplane.eventlog.losses.holes import Hole, between, unknown
from secaplane.eventlog.monotonic import end_reaching
from secaplane.model.bounded_cache import BoundedCache, resource_bytes
from secaplane.model.events import Closed, RecordedEvent
from secaplane.model.evolve import fold as fold_history
from secaplane.model.position import BEGINNING, Position, position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource
from secaplane.projector.folding import ProjectedEvent, fold
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.shared_stream import SharedStream
from secaplane.projector.standby import stand_by
from secaplane.projector.statement import GroupStatement, arguments
from secaplane.readmodel import questions
from secaplane.readmodel.announcements import ANNOUNCE_EVERY_S, Announcer
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE, SCHEMA_DEFECTS, Tx

KNOWN_BYTES_MAX = 4 * 1024 * 1024
"""Of the resources kept in memory between batches, so that most batches need not read their
rows."""
SMALL_BATCH = 100
REASON_LENGTH_MAX = 1000
RETRY_S = 0.5
log = logging.getLogger("secaplane.projector")


class LogGap(Exception):
    """A position is missing in the log."""


class CheckpointRolledBack(Exception):
    """The checkpoint is before the projector's position: the database lost its last commits."""


@dataclass
class Projector:
    """`position`, `reason`, `quarantined` and `started` are read by readiness."""

    group: ProjectionGroup
    pool: Pool
    """Of the read model, with the right to write."""
    stream: SharedStream
    announcer: Announcer
    region: str
    position: Position = BEGINNING
    reason: str = ""
    """The reason why no rows are written now; empty while all is well."""
    quarantined: frozenset[Ref] = frozenset()
    started: asyncio.Event = field(default_factory=asyncio.Event)
    stands_by: bool = False
    """True while another projector of this read model works and announces it."""
    _outpaced: bool = False
    """Another projector moved the checkpoint."""
    _epoch: int = 0
    _stuck_at: Position | None = None
    """The position at which a gap or a schema defect was found: the reason stays until the
    projector is past it."""
    _passed: Sequence[Hole] = ()
    """The holes that operators have acknowledged."""
    _known: BoundedCache[Ref, Resource] = field(
        default_factory=lambda: BoundedCache(resource_bytes, bytes_max=KNOWN_BYTES_MAX)
    )
    _advanced: asyncio.Event = field(default_factory=asyncio.Event)
    _statement: GroupStatement = field(init=False)

    def __post_init__(self) -> None:
        self._statement = GroupStatement(self.group.projections)

    # --- following

    async def run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._announce())
        finally:
            if self._works:
                await self.announcer.announce(self.position, last=True)

    @property
    def _works(self) -> bool:
        return self.started.is_set() and not self.reason and not self.stands_by

    async def _follow(self) -> None:
        while True:
            try:
                await self.begin()
                await self._compare_with_log()
                self.started.set()
                async for batch in self.stream.follow(after=self.position):
                    await self._take(batch)
                    if self._outpaced:
                        break
                await self._stand_by()
                continue
            except CheckpointRolledBack:
                log.warning("database lost recent commits; replaying", extra=self._where())
            except LogGap as gap:
                self._stuck_at = self.position
                self._stop("log has a gap", str(gap), logging.CRITICAL)
            except SCHEMA_DEFECTS as error:
                self._stuck_at = self.position
                reason = f"the tables of {self.group.name} do not fit: {reason_of(error)}"
                self._stop("schema defect; projector stopped", reason, logging.CRITICAL)
            except LogUnavailable as error:
                self._stop("log unavailable", f"the log is unavailable: {error}")
            except DATABASE_UNAVAILABLE as error:
                reason = f"the database is unavailable: {type(error).__name__}"
                self._stop("database unavailable", reason)
            await asyncio.sleep(RETRY_S)

    async def _stand_by(self) -> None:
        self._outpaced, self.stands_by = False, True
        log.info("stands by: another projector works", extra=self._where())
        try:
            await stand_by(self.announcer, self._catch_up)
        finally:
            self.stands_by = False
        log.info("takes over: no other projector works", extra=self._where())

    def _stop(self, message: str, reason: str, level: int = logging.WARNING) -> None:
        if reason != self.reason:
            log.log(level, message, extra={**self._where(), "reason": reason})
        self.reason = reason

    def _where(self) -> dict[str, str]:
        return {
            "group": self.group.name,
            "stream": self.stream.name,
            "position": str(self.position),
        }

    async def _take(self, batch: Sequence[Followed]) -> None:
        if not batch:
            await self._compare_with_checkpoint()
            return
        await self.project(batch)
        self.reason = ""
        self._advanced.set()
        if len(batch) < SMALL_BATCH:
            await asyncio.sleep(self.group.linger_s)

    async def _announce(self) -> None:
        """Nothing is announced while the projector stands still, so that callers stop waiting; nor
        while another one works."""
        while True:
            try:
                async with asyncio.timeout(ANNOUNCE_EVERY_S):
                    await self._advanced.wait()
            except TimeoutError:
                pass
            self._advanced.clear()
            if self._works:
                await self.announcer.announce(self.position)

    async def _compare_with_log(self) -> None:
        """Rows that are ahead of the log: it was restored from a backup, or it is another log.

        Raises:
            LogGap: they are.
        """
        end = await end_reaching(self.stream.log, self.stream.name, self.position)
        if end < self.position:
            raise LogGap(
                f"the log ends at {end}, and the rows are at {self.position}; rebuild them"
            )
        if self._stuck_at != self.position or end == self.position:
            self.reason = ""

    async def _compare_with_checkpoint(self) -> None:
        """Asked while no events arrive, when no write would notice it.

        Raises:
            CheckpointRolledBack: the database lost its last commits.
        """
        found = await questions.checkpoint(self.pool, self.stream.name)
        if found < self.position:
            self.position = found
            raise CheckpointRolledBack

    # --- writing

    async def begin(self) -> Position:
        """Create the checkpoint, if there is none; answers the position to go on from."""
        await self.pool.execute(
            "insert into checkpoints (stream) values ($1) on conflict do nothing", self.stream.name
        )
        self._passed = [each.hole for each in await self.stream.log.acknowledged()]
        await self._catch_up()
        return self.position

    async def project(self, batch: Sequence[Followed]) -> Position:
        """Write the rows of a batch; answers the checkpoint reached.

        Raises:
            LogGap: the batch does not begin where the checkpoint ends.
        """
        for alone, events in groupby(batch, _alone):
            if not alone:
                await self._project([each for each in events if isinstance(each, RecordedEvent)])
                continue
            for each in events:
                if isinstance(each, UndecodableEvent):
                    await self._quarantine(each, each.reason)
                else:
                    await self._close(each)
        return self.position

    async def _project(self, events: Sequence[RecordedEvent]) -> None:
        try:
            while not await self._write(events):
                await self._compare_with_checkpoint()
                await self._catch_up()
                self._outpaced = True
        except (LogGap, CheckpointRolledBack, *SCHEMA_DEFECTS, *DATABASE_UNAVAILABLE):
            raise
        except LogUnavailable:
            raise
        except Exception as error:  # whatever one event breaks must not stop the others
            await self._catch_up()
            if len(events) > 1:
                middle = len(events) // 2
                await self._project(events[:middle])
                await self._project(events[middle:])
            else:
                await self._quarantine(events[0], reason_of(error))

    async def _write(self, events: Sequence[RecordedEvent]) -> bool:
        """False where the checkpoint was not where this projector left it: nothing is written."""
        new = [each for each in events if each.position > self.position]
        if not new:
            return True
        self._refuse_gaps(new)
        applied = [each for each in new if each.ref not in self.quarantined]
        folded = fold(await self._before(applied), applied, self.region, self.stream)
        end = new[-1].position
        filled = self._statement.filled(folded)
        moved = await self.pool.fetchval(
            self._statement.write(filled),
            self.stream.name,
            self.position.sequence,
            end.sequence,
            self._epoch,
            *arguments(filled),
        )
        if not moved:
            return False
        self._remember(folded)
        self.position = end
        return True

    async def _before(self, events: Sequence[RecordedEvent]) -> dict[Ref, Resource]:
        """The resources before a batch; loaded are only those that existed and are not known."""
        first = {each.ref: each for each in reversed(events)}
        held = {ref: self._known.get(ref) for ref in first}
        known = {ref: resource for ref, resource in held.items() if resource is not None}
        unknown = [
            each
            for ref, each in first.items()
            if ref not in known and each.previous != BEGINNING and not self.stream.folded(each)
        ]
        if not unknown:
            return known
        if self.group.load is not None:
            return known | await self.group.load(self.pool, unknown)
        return known | await self._from_log(unknown)

    async def _from_log(self, events: Sequence[RecordedEvent]) -> dict[Ref, Resource]:
        found = {}
        for each in events:
            event = each.event
            before = event.since.moved(-1) if isinstance(event, Closed) else each.previous
            history = await self.stream.log.read(each.ref, up_to=before)
            resource = fold_history(history)
            if resource is not None:
                found[each.ref] = resource
        return found

    def _remember(self, folded: Sequence[ProjectedEvent]) -> None:
        for ref, resource in {each.event.ref: each.resource for each in folded}.items():
            self._known.put(ref, resource)

    async def _catch_up(self) -> None:
        """Read checkpoint and quarantine again, and forget the resources kept in memory."""
        self._known.clear()
        row = await self.pool.fetchrow(
            "select position, epoch from checkpoints where stream = $1", self.stream.name
        )
        assert row is not None, "the checkpoint is created before anything is projected"
        self.position, self._epoch = position(self.stream.name, row[0]), row[1]
        self.quarantined = frozenset(await questions.quarantine(self.pool))

    async def _quarantine(self, culprit: Followed, reason: str) -> None:
        """From now on the events of its resource are left out, and reads answer an error."""
        ref = culprit.ref
        async with self.pool.acquire() as connection, connection.transaction():
            if await self._moved(connection, culprit):
                await connection.execute(
                    "insert into quarantine values ($1, $2, $3, $4, $5) on conflict do nothing",
                    ref.kind,
                    ref.path,
                    self.stream.name,
                    culprit.position.sequence,
                    reason[:REASON_LENGTH_MAX].replace("\0", ""),
                )
                address = f"{ref.kind} {ref.path}"
                where = {**self._where(), "position": str(culprit.position), "reason": reason}
                log.error("resource quarantined", extra={"ref": address, **where})
        await self._after_one(culprit)

    async def _close(self, closing: RecordedEvent) -> None:
        """The end of a history that could not be read: its resource leaves the quarantine, and its
        rows show it as gone."""
        try:
            async with self.pool.acquire() as connection, connection.transaction():
                if await self._moved(connection, closing):
                    await connection.execute(
                        "delete from quarantine where kind = $1 and path = $2",
                        closing.ref.kind,
                        closing.ref.path,
                    )
                    known = await self._before_closing(connection, closing)
                    await self._statement.insert(connection, fold(known, [closing], self.region))
        except (LogUnavailable, *SCHEMA_DEFECTS, *DATABASE_UNAVAILABLE):
            raise
        except Exception as error:  # as in `_project`
            await self._quarantine(closing, reason_of(error))
            return
        await self._after_one(closing)

    async def _before_closing(self, tx: Tx, closing: RecordedEvent) -> dict[Ref, Resource]:
        """From the log, where rows show an event that is left out."""
        event = closing.event
        if self.group.load is not None and isinstance(event, Closed):
            known = await self.group.load(tx, [closing])
            if all(each.position < event.since for each in known.values()):
                return known
        return await self._from_log([closing])

    async def _moved(self, tx: Tx, alone: Followed) -> bool:
        """Move the checkpoint over one event, and begin another epoch; False where another
        projector has moved it: it never moves back.

        Raises:
            LogGap: the event is not the next one.
        """
        if alone.position <= self.position:
            return False
        self._refuse_gaps([alone])
        moved = await tx.execute(
            "update checkpoints set position = $3, epoch = epoch + 1"
            " where stream = $1 and position = $2",
            self.stream.name,
            self.position.sequence,
            alone.position.sequence,
        )
        return moved != "UPDATE 0"

    async def _after_one(self, alone: Followed) -> None:
        await self._catch_up()
        if self.position < alone.position:
            self._refuse_gaps([alone])

    def _refuse_gaps(self, events: Sequence[Followed]) -> None:
        """Raises LogGap where an event is missing that no operator has given up."""
        sequences = [each.position.sequence for each in events]
        holes = between(self.stream.name, self.position.sequence, sequences)
        for hole in unknown(holes, self._passed):
            later = next(each for each in events if each.position.sequence > hole.last)
            raise LogGap(f"sequence {hole.first} is missing; the log went on at {later.position}")


def _alone(followed: Followed) -> bool:
    """Events that are projected one by one, because they change the quarantine."""
    return isinstance(followed, UndecodableEvent) or isinstance(followed.event, Closed)
