"""Failed authentications of each client address, and the delay of the next refusal. Pure but for
the clock it is given.

Only the refusal is delayed: a request with a valid token never waits, whatever else its address
sends. So guessing and flooding are slowed, and a client behind the same address is not.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

PER_S = 10.0
BURST = 100
"""Failures without a delay; then PER_S of them in a second."""
DELAY_S_MAX = 5.0
ADDRESSES_MAX = 10_000


class FailedAuthentications:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paid_at: OrderedDict[str, float] = OrderedDict()
        """Address -> the time at which its failures will be paid off."""

    def delay_s(self, address: str) -> float:
        """Count one failure, and say how long its refusal has to wait."""
        now = self._clock()
        free_until = now + BURST / PER_S
        paid_at = max(self._paid_at.get(address, now), now) + 1 / PER_S
        self._paid_at[address] = min(paid_at, free_until + DELAY_S_MAX)
        self._paid_at.move_to_end(address)
        if len(self._paid_at) > ADDRESSES_MAX:
            self._paid_at.popitem(last=False)
        return max(0.0, self._paid_at[address] - free_until)
