"""Shares of tenants in a process: while several tenants send requests, each may have as many at
work as the others, and its further ones wait for their turn. A tenant that is alone waits for
nothing.

Without shares, requests are worked on in the order of their arrival, so that a request of one
tenant waits behind everything that another one has sent at once. Each process counts for itself.
Pure but for the clock it is given.
"""

import asyncio
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

AT_ONCE = 8
"""Requests at work in a process, of all tenants that share it; each has one of them at least."""
PRESENT_S = 1.0
"""A tenant takes part for so long after its last request."""
WAIT_S_MAX = 0.1
"""After it, a request is worked on all the same: those before it may wait for a slow server, and do
no work."""


class TenantShares:
    def __init__(
        self, *, at_once: int = AT_ONCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._at_once, self._clock = at_once, clock
        self._present: OrderedDict[str, float] = OrderedDict()
        """The time of each tenant's last request, the oldest first."""
        self._working: dict[str, int] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    async def begin(self, tenant: str) -> Callable[[], None]:
        """Wait for a tenant's turn, for WAIT_S_MAX at most. The turn ends when the function that
        this returns is called."""
        self._present[tenant] = self._clock()
        self._present.move_to_end(tenant)
        if tenant in self._waiting or self._working.get(tenant, 0) >= self._share():
            await self._turn(tenant)
        self._working[tenant] = self._working.get(tenant, 0) + 1
        return lambda: self._end(tenant)

    def _share(self) -> float:
        """The requests that each tenant may have at work."""
        before = self._clock() - PRESENT_S
        while self._present and next(iter(self._present.values())) < before:
            self._present.popitem(last=False)
        tenants = len(self._present)
        return math.inf if tenants <= 1 else math.ceil(self._at_once / tenants)

    async def _turn(self, tenant: str) -> None:
        waiting = self._waiting.setdefault(tenant, deque())
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WAIT_S_MAX):
                    await turn
        finally:
            with suppress(ValueError):
                waiting.remove(turn)
            if not waiting and self._waiting.get(tenant) is waiting:
                del self._waiting[tenant]

    def _end(self, tenant: str) -> None:
        working = self._working[tenant] = self._working[tenant] - 1
        if not working:
            del self._working[tenant]
        waiting = self._waiting.get(tenant)
        while waiting and working < self._share():
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                working += 1
