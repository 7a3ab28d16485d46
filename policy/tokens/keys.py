"""The signing keys of one issuer: fetched in the background, and valid for a bounded time.

A request never fetches keys itself. A token that names an unknown key requests a fetch, which
happens at most every REFETCH_INTERVAL_S, and waits for it; both the time and the number of waiting
requests are bounded.
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
from secaplane.policy.tokens.fetch import FETCH_S_MAX, Fetch, FetchFailed, read_file
from secaplane.policy.tokens.issuer import REFETCH_INTERVAL_S, REFRESH_S, STALE_S, Issuer

FILE_INTERVAL_S = 5.0
"""Interval between two reads of a file; a key that was removed from it is accepted for as long."""
RETRY_S_MAX = 30.0
WAIT_S_MAX = REFETCH_INTERVAL_S + 1.0
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
        """Reads a file at once. `failed` is called for every fetch that fails.

        Raises:
            ValueError: the file cannot be read, or has no usable key.
        """
        self.issuer = issuer
        self._every_s = min(every_s, FILE_INTERVAL_S) if issuer.file else every_s
        self._stale_s, self._wait_s = stale_s, wait_s
        self._failed, self._clock = failed, clock
        self._raw: bytes | None = None
        self._keys, self._fetched_at = jwks.KeySet({}, {}), float("-inf")
        self._failure, self._pause_s = "", self._every_s
        self._begun = self._done = self._waiting = 0
        self._requested, self._finished = asyncio.Event(), asyncio.Condition()
        if issuer.file:
            try:
                self._take(read_file(Path(issuer.file)))
            except (FetchFailed, jwks.UnusableKeys) as error:
                raise ValueError(str(error)) from error

    @property
    def age_s(self) -> float:
        """Seconds since the keys were last fetched; infinite if never."""
        return self._clock() - self._fetched_at

    @property
    def unavailable(self) -> str:
        """The reason why tokens of this issuer cannot be verified; empty if they can."""
        if self.age_s < self._stale_s:
            return ""
        never = self._fetched_at == float("-inf")
        return "have never been fetched" if never else "are stale"

    @property
    def remark(self) -> str:
        """A failure for an operator to look at, although tokens can still be verified."""
        return f"could not be fetched for {self.age_s:.0f} s" if self._failure else ""

    def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key that a token names; None if it is unknown. Does not wait.

        Raises:
            Unavailable: the keys are not known, or stale.
        """
        if self.unavailable:
            self._requested.set()
            raise Unavailable(f"the keys of the token's issuer {self.unavailable}; try again")
        sole = self._keys.sole.get(algorithm)
        if sole is not None and (kid is None or self.issuer.secret):
            return sole
        return self._keys.keys.get((kid, algorithm)) if kid is not None else None

    async def refetch(self, sufficient: Callable[[], bool]) -> None:
        """Request a fetch, and wait (bounded) until the keys suffice or a fetch that began after
        this request has finished."""
        if self._waiting >= WAITING_MAX:
            return
        self._requested.set()
        since = self._begun
        self._waiting += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._wait_s), self._finished:
                    await self._finished.wait_for(lambda: self._done > since or sufficient())
        finally:
            self._waiting -= 1

    async def run(self, fetch: Fetch) -> None:
        while True:
            began = self._clock()
            await self.refresh(fetch)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s):
                    await self._requested.wait()
            await asyncio.sleep(began + REFETCH_INTERVAL_S - self._clock())

    async def refresh(self, fetch: Fetch) -> None:
        """Fetch the keys once; if that fails, they stay as they were."""
        self._requested.clear()
        self._begun += 1
        try:
            async with asyncio.timeout(FETCH_S_MAX):
                self._take(await fetch())
            self._failure, self._pause_s = "", self._every_s
        except (FetchFailed, jwks.UnusableKeys, TimeoutError) as error:
            self._failed()
            self._log_failure(str(error) or "it does not answer")
        self._done = self._begun
        async with self._finished:
            self._finished.notify_all()

    def _log_failure(self, reason: str) -> None:
        """Log each reason once, and retry with exponential backoff."""
        pause_s = self._pause_s * 2 if self._failure else REFETCH_INTERVAL_S
        self._pause_s = min(pause_s, RETRY_S_MAX, self._every_s)
        if self._failure != reason:
            log.warning(
                "an issuer's keys cannot be fetched",
                extra={"issuer": self.issuer.issuer, "reason": reason},
            )
        self._failure = reason

    def _take(self, raw: bytes) -> None:
        """Raises UnusableKeys, and leaves the keys as they were."""
        if raw != self._raw:
            keys = jwks.from_secret(raw) if self.issuer.secret else jwks.read(raw, self.issuer)
            for remark in keys.remarks:
                log.warning(
                    "a key is ignored", extra={"issuer": self.issuer.issuer, "reason": remark}
                )
            self._keys, self._raw = keys, raw
        self._fetched_at = self._clock()
