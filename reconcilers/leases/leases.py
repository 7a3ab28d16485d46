"""The leases of this process: it renews its own, watches the others', and takes and hands over
partitions until every process has its share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from random import random
from typing import NamedTuple, TypeVar
from uuid import uuid4

import msgspec

from secaplane.eventlog.codec import NOT_JSON
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.shape import Ref
from secaplane.reconcilers.leases.assignment import (
    Assignment,
    joined,
    released,
    surplus,
    taken,
    without,
)
from secaplane.reconcilers.leases.bucket import Bucket, BucketEntry, RevisionConflict
from secaplane.reconcilers.leases.lease import (
    LEASE_S,
    RENEW_S,
    Clock,
    OwnLease,
    Renewal,
    StandStill,
    boottime,
)
from secaplane.reconcilers.leases.partitions import PARTITIONS, partition_of
from secaplane.reconcilers.leases.tenure import Tenure

Value = TypeVar("Value")
ASSIGNMENT = "assignment"
READ_S = 0.5
"""Between two reads of the assignment and of the other members' renewals."""
GAP_S_MAX = 3.0
"""After a longer pause between two reads, standing still is counted anew: this process was stopped,
or the bucket was unavailable, for the other members too."""
CONFLICT_S_MAX = 0.05
LEAVE_S_MAX = 2.0
log = logging.getLogger("secaplane.leases")

_encode = msgspec.json.Encoder().encode
_assignment = msgspec.json.Decoder(Assignment).decode
_renewal = msgspec.json.Decoder(Renewal).decode


class Changes(NamedTuple):
    gained: frozenset[str]
    lost: frozenset[str]


class Leases:
    """Two loops run side by side: renewals must not wait for anything else.

    `holds` and `working` answer for addresses, `while_held` runs what one process does for all.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        clock: Clock = boottime,
        new_id: Callable[[], str] = lambda: uuid4().hex,
        random: Callable[[], float] = random,
        first_call_delay_s: float = 0.0,
    ) -> None:
        self.assignment = Assignment()
        """As last read or written."""
        self.joined = asyncio.Event()
        self.on_gain: Callable[[], object] = lambda: None
        """Called when a partition is gained, before any work on it."""
        self._bucket, self._clock = bucket, clock
        self._random, self._delay_s = random, first_call_delay_s
        self._lease = OwnLease(clock, new_id)
        self._still = StandStill(clock)
        self._revision, self._read_at = 0, clock()
        self._joined_after: int | None = None
        """The revision of the assignment that this member last tried to join."""
        self._tenures: dict[str, Tenure] = {}
        self._returning: set[str] = set()
        """Partitions whose tenure has ended and that the assignment still gives to this process."""
        self._gained, self._lost = set[str](), set[str]()
        self._changed, self._renewed = asyncio.Event(), asyncio.Event()
        self._nudged, self._due = asyncio.Event(), asyncio.Event()

    # --- questions

    @property
    def held(self) -> int:
        """The number of partitions that this process may work on now."""
        return 0 if self._lease.over else len(self._tenures)

    def holds(self, ref: Ref) -> bool:
        return self._current(partition_of(ref)) is not None

    def holds_named(self, partition: str) -> bool:
        return self._current(partition) is not None

    def held_by_another(self, partition: str) -> bool:
        holder = self.assignment.holders.get(partition)
        return holder in self.assignment.members and holder != self._lease.member

    @contextmanager
    def working(self, ref: Ref) -> Iterator[Tenure | None]:
        """The tenure under which an address is reconciled, None if another process holds it. The
        partition is not handed over meanwhile; it can be lost."""
        tenure = self._current(partition_of(ref))
        if tenure is None:
            yield None
            return
        with self._busy(tenure):
            yield tenure

    async def while_held(self, partition: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` whenever this process holds the named partition; cancel it when the partition
        is handed over or lost. Runs until it is cancelled."""
        while True:
            tenure = self._current(partition)
            if tenure is None:
                await self._changed_once()
                continue
            with self._busy(tenure):
                async with asyncio.TaskGroup() as group:
                    running = group.create_task(_awaited(work()))
                    await tenure.leaving.wait()
                    running.cancel()

    async def usable(self) -> None:
        """Wait while this process's own lease is over: a renewal is late."""
        while self._lease.over:
            self._renewed.clear()
            await self._renewed.wait()

    @property
    def gaining(self) -> bool:
        """Partitions were gained since the last call of `changes`."""
        return bool(self._gained)

    async def changes(self) -> Changes:
        """Wait for partitions that were gained or lost since the last call."""
        while not (self._gained or self._lost):
            await self._changed_once()
        return self.take_changes()

    def take_changes(self) -> Changes:
        changes = Changes(frozenset(self._gained), frozenset(self._lost))
        self._gained.clear()
        self._lost.clear()
        return changes

    def _current(self, partition: str) -> Tenure | None:
        tenure = self._tenures.get(partition)
        return None if tenure is None or tenure.leaving.is_set() else tenure

    @contextmanager
    def _busy(self, tenure: Tenure) -> Iterator[None]:
        tenure.working += 1
        try:
            yield
        finally:
            tenure.working -= 1
            if tenure.leaving.is_set() and not tenure.working:
                self.nudge()

    async def _changed_once(self) -> None:
        changed = self._changed
        await changed.wait()

    # --- the loops

    async def run(self) -> None:
        """Runs until it is cancelled; `leave` then releases at once what would be taken over when
        the lease is over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renewing())
            group.create_task(self._balancing())

    def nudge(self) -> None:
        """Read the assignment now: it may have changed."""
        self._nudged.set()

    async def leave(self) -> None:
        """Release everything; the lease stays without effect afterwards. Bounded in time."""
        for partition in list(self._tenures):
            self._end(partition)
        with suppress(TimeoutError, LogUnavailable):
            async with asyncio.timeout(LEAVE_S_MAX):
                while not await self._left():
                    pass

    async def _left(self) -> bool:
        entry, now = await self._read()
        if self._lease.member not in now.members:
            return True
        wanted = without(now, {self._lease.member})
        with suppress(RevisionConflict):
            await self._bucket.write(ASSIGNMENT, _encode(wanted), after=entry.revision)
            return True
        return False

    async def _renewing(self) -> None:
        """A renewal is sent every `RENEW_S`, also when the one before got no answer."""
        while True:
            self._due.clear()
            try:
                await self._renew()
            except LogUnavailable as error:
                log.warning("lease not renewed", extra={"reason": str(error)})
            await _set_or_after(self._due, RENEW_S)

    async def _balancing(self) -> None:
        while True:
            self._nudged.clear()
            try:
                await self._balance()
            except LogUnavailable as error:
                log.warning("partitions unknown", extra={"reason": str(error)})
            except RevisionConflict:
                await asyncio.sleep(self._random() * CONFLICT_S_MAX)
                continue
            await _set_or_after(self._nudged, READ_S)

    # --- the lease

    async def _renew(self) -> None:
        """Extend the lease, unless another process has written the key since the join."""
        lease = self._lease
        if lease.member not in self.assignment.members:
            return
        key = _key(self.assignment.members[lease.member])
        renewal, after = lease.renewal(), lease.revision
        try:
            revision = await self._bucket.write(key, _encode(renewal), after=after)
        except RevisionConflict:
            await self._compare(key)
            return
        lease.acknowledged(renewal, revision)
        self._renewed.set()

    async def _compare(self, key: str) -> None:
        """After a conflict: an earlier renewal without an answer was written, or another process
        has taken this one for dead."""
        member, entry = self._lease.member, await self._bucket.read(key)
        if member != self._lease.member:
            return
        if self._lease.recognises(_decoded(_renewal, entry), entry.revision):
            self._renewed.set()
        else:
            self._lose()

    def _lose(self) -> None:
        """End every tenure, and join again as another member: a member that was taken for dead
        stays dead."""
        if self._lease.renewed:
            log.warning("lease lost: another process took this one for dead")
        for partition in list(self._tenures):
            self._end(partition)
        self._returning.clear()
        self._revision, self._joined_after = 0, None
        self._lease.lose()
        self.nudge()

    # --- the assignment

    async def _balance(self) -> None:
        """Read the assignment, and write it once if it has to change.

        Raises:
            RevisionConflict: another process wrote it first; read it again.
            LogUnavailable: the outcome is unknown; what was taken is written again, to be sure.
        """
        entry, now = await self._read()
        if entry.revision < self._revision:
            return  # answered by a former leader of the stream
        self._note(entry.revision, now)
        member = self._lease.member
        rest = without(now, await self._dead(now))
        if member in rest.members:
            self._hand_over(surplus(rest, member))
        wanted = released(joined(rest, member), member, self._returning)
        wanted = taken(wanted, member, leaving=self._returning)
        unconfirmed = wanted.of(member) - self._tenures.keys()
        if wanted == now and not unconfirmed:
            return
        if member not in now.members:
            self._joined_after = entry.revision
            former = await self._bucket.read(_key(wanted.members[member]))
            self._lease.revision = former.revision
        revision = await self._bucket.write(ASSIGNMENT, _encode(wanted), after=entry.revision)
        if member == self._lease.member:
            self._note(revision, wanted)
            for partition in sorted(unconfirmed):
                self._begin(partition, revision, former=partition in now.holders)

    async def _read(self) -> tuple[BucketEntry, Assignment]:
        entry = await self._bucket.read(ASSIGNMENT)
        now = _decoded(_assignment, entry) or Assignment()
        if now.partitions != PARTITIONS:
            raise LogUnavailable(f"the bucket of leases divides into {now.partitions} partitions")
        return entry, now

    def _note(self, revision: int, now: Assignment) -> None:
        """Take an assignment that was read or written."""
        member, self._revision, self.assignment = self._lease.member, revision, now
        if member in now.members:
            if not self.joined.is_set():
                log.info("joined", extra={"member": member, "members": len(now.members)})
            self.joined.set()
            if not self._lease.renewed:
                self._due.set()
        elif self._joined_after not in (None, revision):
            self._lose()
            return
        mine = now.of(member)
        self._returning &= mine
        for partition in self._tenures.keys() - mine:
            self._end(partition)

    async def _dead(self, now: Assignment) -> frozenset[str]:
        """The members that cannot act any more: those whose key bears the final mark, and those
        whose revision has stood still and under whose key this process has written the mark."""
        at, before = self._clock(), self._read_at
        self._still.keep(() if at - before > GAP_S_MAX else now.members)
        others = {each: slot for each, slot in now.members.items() if each != self._lease.member}
        answers = [await self._is_dead(member, slot) for member, slot in others.items()]
        self._read_at = self._clock()
        return frozenset(each for each, dead in zip(others, answers, strict=True) if dead)

    async def _is_dead(self, member: str, slot: int) -> bool:
        entry = await self._bucket.read(_key(slot))
        renewal = _decoded(_renewal, entry)
        if renewal is not None and renewal.member == member and renewal.dead:
            return True
        if self._still.see(member, entry.revision) < LEASE_S:
            return False
        mark = _encode(Renewal(member, dead=True))
        await self._bucket.write(_key(slot), mark, after=entry.revision)
        log.warning("a process is dead: its lease was not renewed", extra={"member": member})
        return True

    def _hand_over(self, partitions: list[str]) -> None:
        """Begin no new work on them; a partition is released when its last work is done."""
        for partition in partitions:
            tenure = self._tenures.get(partition)
            if tenure is not None and not tenure.leaving.is_set():
                tenure.leaving.set()
        for partition, tenure in list(self._tenures.items()):
            if tenure.leaving.is_set() and not tenure.working:
                self._end(partition)
                self._returning.add(partition)

    def _begin(self, partition: str, epoch: int, *, former: bool) -> None:
        delay_s = self._delay_s if former else 0.0
        self._tenures[partition] = Tenure(partition, epoch, self._lease, first_call_delay_s=delay_s)
        self._lost.discard(partition)
        self._gained.add(partition)
        self.on_gain()
        self._tell()

    def _end(self, partition: str) -> None:
        self._tenures.pop(partition).end()
        self._gained.discard(partition)
        self._lost.add(partition)
        self._tell()

    def _tell(self) -> None:
        """Wake everything that waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _key(slot: int) -> str:
    return f"member.{slot}"


def _decoded(decode: Callable[[bytes], Value], entry: BucketEntry) -> Value | None:
    """Raises LogUnavailable: another release wrote it."""
    try:
        return decode(entry.value) if entry.value else None
    except NOT_JSON as error:
        raise LogUnavailable(f"the bucket of leases cannot be decoded: {error}") from error


async def _set_or_after(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
