"""The keys of one issuer, kept at hand: fetched in the background, believed for a bounded time.

A request never fetches. One that names a key we do not know has the keys fetched anew, which
happens at most every ASKED_EVERY_S, and waits a moment for it; only so many wait at once.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import jwt

from secaplane.model.errors import Unavailable
from secaplane.policy.tokens import jwks
from secaplane.policy.tokens.fetch import FETCH_S_MAX, Fetch, Unfetched, read_file
from secaplane.policy.tokens.issuer import ASKED_EVERY_S, REFRESH_S, STALE_S, Issuer

FILE_EVERY_S = 5.0
"""How often a file is read: how long a key that is taken out of it may still be believed."""
RETRY_S_MAX = 30.0
WAIT_S_MAX = ASKED_EVERY_S + 1.0
WAITING_MAX = 64
log = logging.getLogger("secaplane.keys")


class IssuerKeys:
    def __init__(
        self,
        issuer: Issuer,
        *,
        every_s: float = REFRESH_S,
        stale_s: float = STALE_S,
        wait_s: float = WAIT_S_MAX,
        failed: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """What lies in a file is read at once.

        Raises:
            ValueError: it cannot be read, or not used.
        """
        self.issuer = issuer
        self._every_s = min(every_s, FILE_EVERY_S) if issuer.file else every_s
        self._stale_s, self._wait_s = stale_s, wait_s
        self._failed, self._clock = failed, clock
        self._raw: bytes | None = None
        self._found, self._had_at = jwks.KeySet({}, {}), float("-inf")
        self._said, self._pause_s = "", self._every_s
        self._begun = self._done = self._waiting = 0
        self._asked, self._over = asyncio.Event(), asyncio.Condition()
        if issuer.file:
            try:
                self._take(read_file(Path(issuer.file)))
            except (Unfetched, jwks.Unusable) as error:
                raise ValueError(str(error)) from error

    @property
    def age_s(self) -> float:
        """Since they were last had; infinite if never."""
        return self._clock() - self._had_at

    @property
    def trouble(self) -> str:
        """Why nothing that this issuer says can be judged; empty if it can."""
        if self.age_s < self._stale_s:
            return ""
        never = self._had_at == float("-inf")
        return "have never been had" if never else "are too old to be believed"

    @property
    def remark(self) -> str:
        """What somebody should look at, though tokens can be judged."""
        return f"could not be had for {self.age_s:.0f} s" if self._said else ""

    def named(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names; None if we do not know it. Nobody waits.

        Raises:
            Unavailable: no key is known well enough to say.
        """
        if self.trouble:
            self._asked.set()
            raise Unavailable(f"the keys of the token's issuer {self.trouble}; try again")
        alone = self._found.only.get(algorithm)
        if alone is not None and (kid is None or self.issuer.secret):
            return alone
        return self._found.keys.get((kid, algorithm)) if kid is not None else None

    async def anew(self, enough: Callable[[], bool]) -> None:
        """Have them fetched, and wait a moment: until it is enough, or until they have been fetched
        since this was asked."""
        if self._waiting >= WAITING_MAX:
            return
        self._asked.set()
        since = self._begun
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s), self._over:
                    await self._over.wait_for(lambda: self._done > since or enough())
        finally:
            self._waiting -= 1

    async def run(self, fetch: Fetch) -> None:
        while True:
            began = self._clock()
            await self.look(fetch)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._asked.wait()
            await asyncio.sleep(began + ASKED_EVERY_S - self._clock())

    async def look(self, fetch: Fetch) -> None:
        """Fetch them once; if that fails they stay as they were."""
        self._asked.clear()
        self._begun += 1
        try:
            async with asyncio.timeout(FETCH_S_MAX):
                self._take(await fetch())
            self._said, self._pause_s = "", self._every_s
        except (Unfetched, jwks.Unusable, TimeoutError) as error:
            self._failed()
            self._complain(str(error) or "it does not answer")
        self._done = self._begun
        async with self._over:
            self._over.notify_all()

    def _complain(self, reason: str) -> None:
        """Each trouble once, however often it is tried again; and that less and less often."""
        pause_s = self._pause_s * 2 if self._said else ASKED_EVERY_S
        self._pause_s = min(pause_s, RETRY_S_MAX, self._every_s)
        if self._said != reason:
            said = {"issuer": self.issuer.issuer, "reason": reason}
            log.warning("the keys cannot be had", extra=said)
        self._said = reason

    def _take(self, raw: bytes) -> None:
        """Raises Unusable, and leaves them as they were."""
        if raw != self._raw:
            found = jwks.shared(raw) if self.issuer.secret else jwks.read(raw, self.issuer)
            for remark in found.remarks:
                said = {"issuer": self.issuer.issuer, "reason": remark}
                log.warning("a key is left out", extra=said)
            self._found, self._raw = found, raw
        self._had_at = self._clock()
