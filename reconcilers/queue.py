"""The work queue: addresses due for reconciliation. Each is queued at most once, and no two workers
have the same address, so calls for one resource are serial."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from secaplane.model.shape import Ref


class Queue:
    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._due: dict[Ref, float] = {}
        self._heap: list[tuple[float, int, Ref]] = []
        self._order = count()
        self._working: set[Ref] = set()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, ref: Ref) -> bool:
        """True if it is queued, for now or later, or being worked on."""
        return ref in self._due or ref in self._working

    def add(self, ref: Ref, *, seconds: float = 0.0) -> None:
        """Queue it for that time; an earlier time that is queued already stays."""
        due = self._clock() + seconds
        if ref in self._due and self._due[ref] <= due:
            return
        self._due[ref] = due
        if ref not in self._working:
            self._push(ref, due)

    @property
    def overdue_s(self) -> float:
        """Seconds for which the first address has waited for a worker."""
        wait_s = self._next_s()
        return max(0.0, -wait_s) if wait_s is not None else 0.0

    async def get(self) -> Ref:
        """The next address that is due. No other worker gets it before `done`."""
        while True:
            wait_s = self._next_s()
            if wait_s is not None and wait_s <= 0:
                _, _, ref = heapq.heappop(self._heap)
                del self._due[ref]
                self._working.add(ref)
                return ref
            self._changed.clear()
            try:
                async with asyncio.timeout(wait_s):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def done(self, ref: Ref) -> None:
        """Release it; if it was added meanwhile, it is queued again."""
        self._working.discard(ref)
        if ref in self._due:
            self._push(ref, self._due[ref])

    def _push(self, ref: Ref, due: float) -> None:
        heapq.heappush(self._heap, (due, next(self._order), ref))
        self._changed.set()

    def _next_s(self) -> float | None:
        """Seconds until the first is due; superseded entries are dropped."""
        while self._heap:
            due, _, ref = self._heap[0]
            if self._due.get(ref) == due and ref not in self._working:
                return due - self._clock()
            heapq.heappop(self._heap)
        return None
