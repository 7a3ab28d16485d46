"""Rate limits of requests: one token bucket for each caller, and one for each tenant. Pure but for
the clock it is given. Each process limits for itself.

`audit.token_bucket.Throttle` uses the same arithmetic but never refuses: it counts what it drops.
Here a request without a token is refused, with the seconds until there is one.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from secaplane.audit.token_bucket import FillRate
from secaplane.model.errors import RateLimited

BUCKETS_MAX = 10_000
"""Of callers, and of tenants; beyond it, the bucket that was unused for longest is full again."""


class RateBuckets:
    """One bucket for each key: `burst` requests at once, and `per_second` from then on. A burst of
    0 is as many as fill in one second."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._rate = FillRate(per_s=per_second, burst=burst or math.ceil(per_second))
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable) -> float:
        """0 where a token was taken; otherwise the seconds until there is one."""
        now = self._clock()
        full_at, wait_s = self._rate.take(self._full_at.get(key, now), now)
        if wait_s:
            return wait_s
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        while len(self._full_at) > BUCKETS_MAX:
            self._full_at.popitem(last=False)
        return 0.0


class RateLimits:
    """The requests of one caller, and of all callers to one tenant; a rate of 0 sets no limit."""

    def __init__(
        self,
        *,
        caller_per_second: float = 0,
        caller_burst: int = 0,
        tenant_per_second: float = 0,
        tenant_burst: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._callers, self._tenants = (
            RateBuckets(rate, burst, clock) if rate else None
            for rate, burst in (
                (caller_per_second, caller_burst),
                (tenant_per_second, tenant_burst),
            )
        )

    def limit_caller(self, issuer: str, sub: str) -> None:
        """Raises RateLimited where this caller sends too many requests."""
        if self._callers is not None:
            _refuse(self._callers.take((issuer, sub)), "you send too many requests")

    def limit_tenant(self, tenant: str) -> None:
        """Raises RateLimited where all callers together send too many requests to this tenant."""
        if self._tenants is not None and tenant:
            _refuse(self._tenants.take(tenant), "this tenant receives too many requests")


def _refuse(wait_s: float, reason: str) -> None:
    if wait_s:
        seconds = max(1, math.ceil(wait_s))
        raise RateLimited(f"{reason}; try again in {seconds} s", retry_after_s=seconds)
