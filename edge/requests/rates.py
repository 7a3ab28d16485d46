"""How often somebody may ask: a bucket of tokens each, that fills at a rate. Pure but for the clock
it is given; the answer is a matter of one process.

A bucket is one number: the time at which it will be full again. One that is full need not be kept.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from secaplane.model.errors import RateLimited

BUCKETS_MAX = 10_000
"""Of one sort; then who has not asked for the longest time begins anew."""


class RateBuckets:
    """One bucket for each key: `burst` requests at once, and `per_second` from then on."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        self._every_s = 1 / per_second
        self._depth_s = self._every_s * (burst or math.ceil(per_second))
        self._clock = clock
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable) -> float:
        """0 where a token was taken; else how many seconds there will be none."""
        now = self._clock()
        full_at = max(self._full_at.get(key, now), now) + self._every_s
        wait_s = full_at - now - self._depth_s
        if wait_s > _NOISE_S:
            return wait_s
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        while len(self._full_at) > BUCKETS_MAX:
            self._full_at.popitem(last=False)
        return 0.0


_NOISE_S = 1e-9
"""Sums of fractions are not exact."""


class RateLimits:
    """What a caller may ask for, and what all callers together may of a tenant; 0 sets no limit."""

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

    def refuse_hasty(self, issuer: str, sub: str) -> None:
        """Raises TooMany where this caller asks too often."""
        if self._callers is not None:
            _refuse(self._callers.take((issuer, sub)), "you ask too often")

    def refuse_crowded(self, tenant: str) -> None:
        """Raises TooMany where all together ask this tenant too often."""
        if self._tenants is not None and tenant:
            _refuse(self._tenants.take(tenant), "too much is asked of this tenant at once")


def _refuse(wait_s: float, why: str) -> None:
    if wait_s:
        seconds = max(1, math.ceil(wait_s))
        raise RateLimited(f"{why}; try again in {seconds} s", retry_after_s=seconds)
