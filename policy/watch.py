"""Keeps who may what at the end of the log: roles, assignments and revocations from the read model
once, and from there on what the leader says has been added."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Protocol

from asyncpg import Pool

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.policy.grants.assignments import PolicyResource
from secaplane.policy.grants.policy import KINDS_OF_POLICY
from secaplane.policy.tokens.revocations import KINDS_OF_REVOCATION
from secaplane.readmodel import questions

LOOK_EVERY_S = 0.3
WATCHED_KINDS = (*KINDS_OF_POLICY, *KINDS_OF_REVOCATION)
"""A change of these is in force in the process that takes it before it is answered."""
log = logging.getLogger("secaplane.policy")


class PolicySubscriber(Protocol):
    """Somebody to whom some kinds matter."""

    def begin(self, revision: Position) -> None:
        """Forget everything: what is told next is all there was at that position."""
        ...

    def learn(
        self,
        resources: Iterable[PolicyResource],
        revision: Position,
        *,
        unreadable: Iterable[Ref] = (),
    ) -> None:
        """Take these as they now are."""
        ...


class PolicyWatch:
    def __init__(
        self,
        log: Log,
        cache: ResourceCache,
        *,
        stale_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._cache, self._stale_s, self._clock = log, cache, stale_s, clock
        self._learners: list[tuple[tuple[str, ...], PolicySubscriber]] = []
        self._known = dict.fromkeys(WATCHED_KINDS, BEGINNING)
        self._fresh_at = float("-inf")
        self._looking = asyncio.Lock()

    def tell(self, learner: PolicySubscriber, kinds: tuple[str, ...]) -> None:
        """Before the start: who is to learn of which kinds."""
        self._learners.append((kinds, learner))

    def fresh(self) -> bool:
        """What is known was known to be the log's last word a moment ago."""
        return self._clock() - self._fresh_at < self._stale_s

    async def start(self, pool: Pool) -> None:
        """Rows and their checkpoint in one snapshot, and then what has been added since.

        Raises:
            Unanswered, OSError, asyncpg.PostgresError: not now; the caller tries again.
        """
        async with questions.declared(pool, WATCHED_KINDS) as (batches, checkpoints):
            position = checkpoints.get(self._log.streams.of(WATCHED_KINDS[0]), BEGINNING)
            for _, learner in self._learners:
                learner.begin(position)
            async for batch in batches:
                known = [each for each in batch if _counts(each)]
                for kinds, learner in self._learners:
                    learner.learn([each for each in known if each.ref.kind in kinds], position)
                await asyncio.sleep(0)
        self._known = dict.fromkeys(WATCHED_KINDS, position)
        await self.look()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(LogUnavailable):
                await self.look()

    async def look(self) -> None:
        """Ask the leader whether anything was added, and read up to it.

        Raises:
            Unanswered: it did not say; `fresh` runs out if that goes on.
        """
        async with self._looking:
            asked_at = self._clock()
            changed, known = dict[Ref, Resource | None](), dict(self._known)
            for kind in WATCHED_KINDS:
                last = await self._log.last_of(kind)
                if last > known[kind]:
                    changed |= await self._changed(kind, known[kind], last)
                    known[kind] = last
            self._known = known  # not before: what is not told must be asked for again
            self._told(changed)
            self._fresh_at = asked_at

    def _told(self, changed: Mapping[Ref, Resource | None]) -> None:
        for kinds, learner in self._learners:
            mine = {ref: found for ref, found in changed.items() if ref.kind in kinds}
            if mine:
                learner.learn(
                    (resource for resource in mine.values() if resource is not None),
                    max(self._known[kind] for kind in kinds),
                    unreadable=(ref for ref, resource in mine.items() if resource is None),
                )

    async def _changed(
        self, kind: str, after: Position, last: Position
    ) -> dict[Ref, Resource | None]:
        """What is None cannot be read: it grants nothing, and revokes what it did before."""
        touched = await self._log.touched(kind, after=after, up_to=last)
        return {ref: await self._readable(ref) for ref in touched}

    async def _readable(self, ref: Ref) -> Resource | None:
        try:
            return await self._cache.current(ref)
        except (Undecodable, AssertionError, KeyError) as error:
            log.error("cannot be read", extra={"ref": ref.path, "reason": str(error)})
            return None


def _counts(row: questions.DeclaredResource) -> bool:
    """A row that is older than its resource grants nothing, and goes on revoking."""
    return not row.quarantined or row.ref.kind in KINDS_OF_REVOCATION
