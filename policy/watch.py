"""Keeps the policy at the end of the log: roles and assignments from the read model once, and from
there on what the leader says has been added."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from asyncpg import Pool

from eventlog.codec import Unreadable
from eventlog.folds import Folds
from eventlog.log import Log, Unanswered
from model.shape import NOWHERE, Position, Ref, Resource
from policy.may import KINDS_OF_POLICY, Policy
from readmodel import questions

LOOK_EVERY_S = 0.3
log = logging.getLogger("secaplane.policy")


class Watch:
    def __init__(
        self,
        log: Log,
        folds: Folds,
        *,
        stale_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._folds, self._stale_s, self._clock = log, folds, stale_s, clock
        self._known = dict.fromkeys(KINDS_OF_POLICY, NOWHERE)
        self._fresh_at = float("-inf")
        self._looking = asyncio.Lock()

    def fresh(self) -> bool:
        """The policy was known to be the log's last word a moment ago."""
        return self._clock() - self._fresh_at < self._stale_s

    async def start(self, policy: Policy, pool: Pool, stream: str) -> None:
        """Rows and their checkpoint in one snapshot, and then what has been added since.

        Raises:
            Unanswered, OSError, asyncpg.PostgresError: not now; the caller tries again.
        """
        resources, position = await questions.living_of(pool, KINDS_OF_POLICY, stream)
        policy.learn(resources, position)
        self._known = dict.fromkeys(KINDS_OF_POLICY, position)
        await self.look(policy)

    async def run(self, policy: Policy) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with suppress(Unanswered):
                await self.look(policy)

    async def look(self, policy: Policy) -> None:
        """Ask the leader whether anything was added, and read up to it.

        Raises:
            Unanswered: it did not say; `fresh` runs out if that goes on.
        """
        async with self._looking:
            asked_at = self._clock()
            changed: dict[Ref, Resource | None] = {}
            for kind in KINDS_OF_POLICY:
                last = await self._log.last_of(kind)
                if last > self._known[kind]:
                    changed |= await self._changed(kind, self._known[kind], last)
                    self._known[kind] = last
            if changed:
                policy.learn(
                    (resource for resource in changed.values() if resource is not None),
                    Position(max(self._known.values())),
                    unreadable=(ref for ref, resource in changed.items() if resource is None),
                )
            self._fresh_at = asked_at

    async def _changed(
        self, kind: str, after: Position, last: Position
    ) -> dict[Ref, Resource | None]:
        """What is None cannot be read, and grants nothing."""
        touched = await self._log.touched(kind, after=after, up_to=last)
        return {ref: await self._readable(ref) for ref in touched}

    async def _readable(self, ref: Ref) -> Resource | None:
        try:
            return await self._folds.fresh(ref)
        except (Unreadable, AssertionError, KeyError) as error:
            log.error("grants nothing", extra={"ref": ref.path, "reason": str(error)})
            return None
