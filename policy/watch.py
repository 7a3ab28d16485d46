"""Keeps the authorization policy and the revocations of this process in step with the log.

At the start, roles, role assignments and revocations are read once from the read model. From then
on the watch polls the leader of the stream for the last position of each kind, and reads what was
appended up to it. It does not follow the stream: only an answer of the leader proves that nothing
newer exists, and `fresh` needs that proof.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable, OutdatedAnswer
from secaplane.eventlog.monotonic import end_reaching
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.model.position import BEGINNING, Position
from secaplane.model.reasons import reason_of
from secaplane.model.shape import Ref, Resource
from secaplane.policy.grants.assignments import PolicyResource
from secaplane.policy.grants.lives import KINDS_OF_LIVES, LivingResource
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.revocations import KINDS_OF_REVOCATION
from secaplane.readmodel import questions

REFRESH_INTERVAL_S = 0.3
WATCHED_KINDS = (*KINDS_OF_POLICY, *KINDS_OF_REVOCATION)
"""A change of these is in force in the process that accepts it before the change is answered."""
ALL_KINDS = (*WATCHED_KINDS, *KINDS_OF_LIVES)
log = logging.getLogger("secaplane.policy")


class WatchedResource(PolicyResource, LivingResource, Protocol):
    """The parts of a resource that one subscriber or another needs."""


class PolicySubscriber(Protocol):
    """Receives the resources of some kinds, and every change of them."""

    def reset(self, revision: Position) -> None:
        """Forget all resources: the updates that follow are all there was at that position."""
        ...

    def update(
        self,
        resources: Iterable[WatchedResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        """Take the current state of these resources. `revision` may be older than the last one,
        after an update that was repeated: it must not move a revision backwards."""
        ...


class PolicyWatch:
    """The kinds of one subscriber are recorded by one stream, so that their positions can be
    compared; the newest of them is the revision that it gets."""

    def __init__(
        self,
        log: Log,
        cache: ResourceCache,
        *,
        stale_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._cache, self._stale_s, self._clock = log, cache, stale_s, clock
        self._subscribers: list[tuple[tuple[str, ...], PolicySubscriber]] = []
        self._passed_on = dict.fromkeys(ALL_KINDS, BEGINNING)
        """Per kind, the position up to which the subscribers have every change."""
        self._newest = dict.fromkeys(ALL_KINDS, BEGINNING)
        """Per kind, the newest position in any answer so far."""
        self._confirmed_at = float("-inf")
        self._refreshing = asyncio.Lock()

    def subscribe(self, subscriber: PolicySubscriber, kinds: tuple[str, ...]) -> None:
        """Register a subscriber for some kinds; before the start."""
        streams = {self._log.streams.of(kind) for kind in kinds}
        assert len(streams) == 1, f"a revision is a position of one stream, not of {streams}"
        self._subscribers.append((kinds, subscriber))

    def fresh(self) -> bool:
        """True if the leader confirmed, less than `stale_s` seconds ago, that the subscribers have
        every change."""
        return self._clock() - self._confirmed_at < self._stale_s

    async def start(self, pool: Pool) -> None:
        """Load rows and their checkpoint in one database snapshot, then refresh from the log.

        Raises:
            LogUnavailable, OSError, asyncpg.PostgresError: the caller tries again later.
        """
        async with questions.declared(pool, ALL_KINDS) as (batches, checkpoints):
            reached = {
                kind: checkpoints.get(self._log.streams.of(kind), BEGINNING) for kind in ALL_KINDS
            }
            for kinds, subscriber in self._subscribers:
                subscriber.reset(reached[kinds[0]])
            async for batch in batches:
                valid = [each for each in batch if _counts(each)]
                for kinds, subscriber in self._subscribers:
                    resources = [each for each in valid if each.ref.kind in kinds]
                    subscriber.update(resources, reached[kinds[0]])
                await asyncio.sleep(0)
        for stream in {self._log.streams.of(kind) for kind in ALL_KINDS}:
            await self._refuse_outdated_end(stream, checkpoints.get(stream, BEGINNING))
        self._passed_on = reached
        await self.refresh()

    async def _refuse_outdated_end(self, stream: str, checkpoint: Position) -> None:
        end = await end_reaching(self._log, stream, checkpoint)
        if end < checkpoint:
            raise OutdatedAnswer(
                f"an outdated answer: the log ends at {end}, the rows {checkpoint}"
            )

    async def run(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_INTERVAL_S)
            with suppress(LogUnavailable):
                await self.refresh()

    async def refresh(self) -> None:
        """Ask the leader for the last position of each kind, and pass on the changes up to it.

        Raises:
            LogUnavailable: no answer, or an outdated one; `fresh` becomes false after `stale_s`.
        """
        async with self._refreshing:
            asked_at = self._clock()
            changed, read = dict[Ref, Resource | None](), dict(self._passed_on)
            for kind in ALL_KINDS:
                last = await self._last_of(kind)
                if last > read[kind]:
                    changed |= await self._changed(kind, read[kind], last)
                    read[kind] = last
            self._passed_on = read  # only now: after a failure, all of it is read again
            self._notify(changed)
            self._confirmed_at = asked_at

    async def _last_of(self, kind: str) -> Position:
        """The last position of a kind. An answer that is older than an earlier one comes from a
        server that is no longer the leader: nothing may be concluded from it."""
        last = await self._log.last_of(kind)
        if last < self._newest[kind]:
            raise OutdatedAnswer(f"an outdated answer: {last} after {self._newest[kind]}")
        self._newest[kind] = last
        return last

    async def _changed(
        self, kind: str, after: Position, last: Position
    ) -> dict[Ref, Resource | None]:
        """The resources that have events in a range, as they are now. None is a resource that this
        release cannot decode: it grants nothing from now on, and a revocation stays in force."""
        touched = await self._log.touched(kind, after=after, up_to=last)
        return {ref: await self._current(ref, newest) for ref, newest in touched.items()}

    async def _current(self, ref: Ref, newest: Position) -> Resource | None:
        try:
            resource = await self._cache.current(ref)
        except (Undecodable, AssertionError, KeyError) as error:
            log.error(
                "a policy resource cannot be decoded",
                extra={"ref": ref.path, "reason": reason_of(error)},
            )
            return None
        if resource is None or resource.position < newest:
            raise OutdatedAnswer(f"an outdated answer: {ref.path} without its event at {newest}")
        self._newest[ref.kind] = max(self._newest[ref.kind], resource.position)
        return resource

    def _notify(self, changed: Mapping[Ref, Resource | None]) -> None:
        for kinds, subscriber in self._subscribers:
            relevant = {ref: found for ref, found in changed.items() if ref.kind in kinds}
            if relevant:
                subscriber.update(
                    (resource for resource in relevant.values() if resource is not None),
                    max(self._passed_on[kind] for kind in kinds),
                    undecodable=(ref for ref, found in relevant.items() if found is None),
                )


def _counts(row: questions.DeclaredResource) -> bool:
    """A row whose newer events could not be applied grants nothing; a revocation and the end of a
    former life stay in force."""
    return not row.quarantined or row.ref.kind not in KINDS_OF_POLICY
