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
        self._debts: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> (failures not paid off, at a time); PER_S are paid off in a second."""

    def delay_s(self, address: str) -> float:
        """Count one failure, and say how long its refusal has to wait."""
        now = self._clock()
        debt, since = self._debts.get(address, (0.0, now))
        debt = min(max(0.0, debt - (now - since) * PER_S) + 1, BURST + DELAY_S_MAX * PER_S)
        self._debts[address] = debt, now
        self._debts.move_to_end(address)
        if len(self._debts) > ADDRESSES_MAX:
            self._debts.popitem(last=False)
        return max(0.0, debt - BURST) / PER_S
