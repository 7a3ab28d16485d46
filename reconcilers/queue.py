"""The work queue: addresses due for reconciliation, in fair shares.

Each address is queued at most once, and no two workers have the same address, so calls for one
resource are serial. Tenants with due addresses are served in turn. Removals are background work:
creations and changes of all tenants go first, except every BACKGROUND_TURN-th time. A tenant, and
background work, may have a share of the free workers. The share shrinks as workers are taken (the
dynamic threshold of shared buffers): however slow the calls of one tenant are, one that comes later
finds free workers. Each operation takes O(log n) of n queued addresses.
"""

import asyncio
import heapq
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from secaplane.model.shape import Ref

WORKERS_MAX = 32
BACKGROUND_TURN = 4
"""Of so many addresses that workers get, one is background work while both kinds wait."""
TENANT_SHARE, BACKGROUND_SHARE = 3, 1
"""Workers that one tenant, or all background work, may have for each worker that is free: of 32,
one tenant alone has at most 24, and removals at most 16."""


@dataclass(eq=False, slots=True)
class _Entry:
    """An address that is queued. It is superseded when `_queued` names another entry."""

    ref: Ref
    due: float
    background: bool

    @property
    def tenant(self) -> str:
        return self.ref.scope("tenants")


@dataclass(slots=True)
class _Lane:
    """Due addresses of one class of work: by tenant, in the order in which they became due. The
    first tenant is served next."""

    tenants: OrderedDict[str, deque[_Entry]] = field(default_factory=OrderedDict)

    def push(self, entry: _Entry) -> None:
        self.tenants.setdefault(entry.tenant, deque()).append(entry)

    def take(self, tenant: str) -> _Entry:
        """The first address of a tenant, whose next turn comes after all others."""
        waiting = self.tenants[tenant]
        entry = waiting.popleft()
        self.tenants.move_to_end(tenant)
        if not waiting:
            del self.tenants[tenant]
        return entry


class Queue:
    def __init__(
        self, clock: Callable[[], float] | None = None, *, workers: int = WORKERS_MAX
    ) -> None:
        """`workers`: how many call `get`."""
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._workers = workers
        self._queued: dict[Ref, _Entry] = {}
        self._later: list[tuple[float, int, _Entry]] = []
        self._foreground, self._background = _Lane(), _Lane()
        self._order, self._turns = count(), 0
        self._working: dict[Ref, bool] = {}
        """Addresses that workers have; true for background work."""
        self._held: Counter[str] = Counter()
        """Workers of each tenant."""
        self._held_in_background = 0
        self._idle: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._queued)

    def __contains__(self, ref: Ref) -> bool:
        """True if it is queued, for now or later, or being worked on."""
        return ref in self._queued or ref in self._working

    def in_background(self, ref: Ref) -> bool:
        """False if a worker has the address for a creation or a change."""
        return self._working.get(ref, True)

    def keep(self, wanted: Callable[[Ref], bool]) -> None:
        """Drop every other address that is queued."""
        self._queued = {ref: entry for ref, entry in self._queued.items() if wanted(ref)}

    def add(self, ref: Ref, *, seconds: float = 0.0, background: bool | None = None) -> None:
        """Queue it for that time; an earlier time that is queued already stays, and so does the
        more urgent class of work. None: the class that it has, foreground if it is new."""
        due, known = self._clock() + seconds, self._queued.get(ref)
        if background is None:
            background = known.background if known else self._working.get(ref, False)
        if known is not None:
            background &= known.background
            if known.due <= due and known.background == background:
                return
            due = min(due, known.due)
        entry = self._queued[ref] = _Entry(ref, due, background)
        if ref not in self._working:
            self._push(entry)

    @property
    def overdue_s(self) -> float:
        """Seconds for which the first address has waited for a worker."""
        return max(self.waits().values(), default=0.0)

    def waits(self) -> dict[str, float]:
        """Seconds for which the first due address of each tenant has waited for a worker."""
        self._move_due()
        now, waits = self._clock(), dict[str, float]()
        for lane in (self._foreground, self._background):
            for tenant in list(lane.tenants):
                first = self._first(lane, tenant)
                if first is not None:
                    waits[tenant] = max(waits.get(tenant, 0.0), now - first.due)
        return waits

    async def get(self) -> Ref:
        """The next address that is due. No other worker gets it before `done`."""
        while True:
            entry = self._next()
            if entry is not None:
                self._begin(entry)
                return entry.ref
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(turn)
            self._set_timer()
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._call_worker()  # another worker takes the call
                raise

    def done(self, ref: Ref) -> None:
        """Release it; if it was added meanwhile, it is queued again."""
        background, tenant = self._working.pop(ref), ref.scope("tenants")
        self._held_in_background -= background
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        if ref in self._queued:
            self._push(self._queued[ref])
        self._call_worker()

    def _push(self, entry: _Entry) -> None:
        if entry.due > self._clock():
            heapq.heappush(self._later, (entry.due, next(self._order), entry))
            if self._idle:
                self._set_timer()
        else:
            self._lane(entry).push(entry)
            self._call_worker()

    def _lane(self, entry: _Entry) -> _Lane:
        return self._background if entry.background else self._foreground

    def _move_due(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            _, _, entry = heapq.heappop(self._later)
            if self._queued.get(entry.ref) is entry:
                self._lane(entry).push(entry)

    def _next(self) -> _Entry | None:
        self._move_due()
        lanes = [self._foreground, self._background]
        both = bool(lanes[0].tenants and lanes[1].tenants)
        if both and self._turns == BACKGROUND_TURN - 1:
            lanes.reverse()
        for lane in lanes:
            entry = self._take(lane)
            if entry is not None:
                self._turns = (self._turns + 1) % BACKGROUND_TURN if both else 0
                return entry
        return None

    def _take(self, lane: _Lane) -> _Entry | None:
        """The first address of the first tenant that may have a worker. Passed over are only
        tenants that have some, so fewer than there are workers."""
        free = self._workers - len(self._working)
        if lane is self._background and self._held_in_background >= BACKGROUND_SHARE * free:
            return None
        while True:
            held = self._held
            may = (each for each in lane.tenants if held[each] < TENANT_SHARE * free)
            tenant = next(may, None)
            if tenant is None:
                return None
            if self._first(lane, tenant) is not None:
                return lane.take(tenant)

    def _first(self, lane: _Lane, tenant: str) -> _Entry | None:
        """The first address of a tenant; superseded entries are dropped."""
        waiting = lane.tenants[tenant]
        while waiting and self._queued.get(waiting[0].ref) is not waiting[0]:
            waiting.popleft()
        if waiting:
            return waiting[0]
        del lane.tenants[tenant]
        return None

    def _begin(self, entry: _Entry) -> None:
        del self._queued[entry.ref]
        self._working[entry.ref] = entry.background
        self._held[entry.tenant] += 1
        self._held_in_background += entry.background
        if self._idle:
            self._set_timer()
        if self._foreground.tenants or self._background.tenants:
            self._call_worker()

    def _call_worker(self) -> None:
        """Wake one idle worker; it wakes the next one while there is more to do."""
        while self._idle:
            turn = self._idle.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _set_timer(self) -> None:
        """For the first address that is not due yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later:
            wait_s = max(0.0, self._later[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._call_worker)
