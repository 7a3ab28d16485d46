"""What lies in a parent, and the guard under which that stays true (no orphan, ever)."""

import time
from collections.abc import Awaitable, Callable, Sequence

from secaplane.eventlog.log import Log, PrefixExpectation
from secaplane.model.errors import Unavailable
from secaplane.model.events import Created, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

AskChildren = Callable[[Ref, bool], Awaitable[Sequence[Ref]]]
"""(parent, also what is going) -> what the read model knows to lie in it."""
WaitReached = Callable[[Sequence[Position], float], Awaitable[bool]]
"""(positions, seconds) -> whether the rows have reached them in time."""


class ChildrenReader:
    """The read model is asked once, at a position it has reached; what was created after that is
    read from the log. When the append is raced, only the new tail is read."""

    def __init__(
        self,
        log: Log,
        ask: AskChildren,
        reached: WaitReached,
        parent: Ref,
        *,
        include_terminating: bool,
    ) -> None:
        self._log, self._ask, self._reached = log, ask, reached
        self._parent, self._going_too = parent, include_terminating
        self._known_to = BEGINNING
        self.children: Sequence[Ref] = ()

    async def expectation(self, deadline: float) -> PrefixExpectation:
        """An expectation under which `children` is the whole truth; `deadline` is monotonic
        seconds.

        Raises:
            Unavailable: the read model is behind.
            Unanswered: the log is away.
        """
        if self._known_to == BEGINNING:
            self._known_to = await self._caught_up(deadline)
        await self._read_on()
        return PrefixExpectation(self._parent, self._known_to)

    async def moved(self) -> PrefixExpectation | None:
        """The guard after a lost race, if what was judged still holds: whatever happens to what
        lies there already. None if something was created there, or happened to the parent itself.

        Raises:
            Unanswered: the log is away.
        """
        tail = await self._read_on()
        if any(each.ref == self._parent or isinstance(each.event, Created) for each in tail):
            return None
        return PrefixExpectation(self._parent, self._known_to)

    async def _read_on(self) -> Sequence[RecordedEvent]:
        end = await self._log.last_within(self._parent)
        tail = await self._log.read_within(self._parent, after=self._known_to, up_to=end)
        began = [each.ref for each in tail if _began_inside(self._parent, each)]
        self.children = [*dict.fromkeys((*self.children, *began))]
        self._known_to = end
        return tail

    async def _caught_up(self, deadline: float) -> Position:
        last = await self._log.last_within(self._parent)
        if not await self._reached([last], max(0.0, deadline - time.monotonic())):
            raise Unavailable("the read model is behind; try again")
        self.children = await self._ask(self._parent, self._going_too)
        return last


def _began_inside(parent: Ref, recorded: RecordedEvent) -> bool:
    return recorded.ref != parent and isinstance(recorded.event, Created)
