"""What lies in a parent, or who uses a thing, and the guard under which that stays true (no orphan,
ever)."""

import time
from collections.abc import Awaitable, Callable, Sequence

from eventlog.log import Guard, Log
from kinds import uses
from model.errors import Unavailable
from model.events import Created, RecordedEvent, Updated
from model.shape import NOWHERE, Position, Ref

Ask = Callable[[], Awaitable[Sequence[Ref]]]
"""What the read model knows of those who stand in the way."""
Joins = Callable[[RecordedEvent], bool]
"""Whether an event puts one more in the way."""
Inside = Callable[[Ref, bool], Awaitable[Sequence[Ref]]]
"""(parent, also what is going) -> what the read model knows to lie in it."""
Reached = Callable[[Position, float], Awaitable[bool]]
"""(position, seconds) -> whether the read model has got there in time."""


class Lookout:
    """The read model is asked once, at a position it has reached; what was created after that is
    read from the log. When the append is raced, only the new tail is read."""

    def __init__(
        self, log: Log, ref: Ref, within: Ref, *, ask: Ask, joins: Joins, reached: Reached
    ) -> None:
        """`ref` is what is to go, `within` is where all that may stand in its way would happen: the
        thing itself, or its workspace."""
        self._log, self._ref, self._within = log, ref, within
        self._ask, self._joins, self._reached = ask, joins, reached
        self._known_to = NOWHERE
        self.found: Sequence[Ref] = ()

    async def guard(self, deadline: float) -> Guard:
        """An expectation under which `found` is the whole truth; `deadline` is monotonic seconds.

        Raises:
            Unavailable: the read model is behind.
            Unanswered: the log is away.
        """
        if self._known_to == NOWHERE:
            self._known_to = await self._caught_up(deadline)
        await self._read_on()
        return Guard(self._within, self._known_to)

    async def moved(self) -> Guard | None:
        """The guard after a lost race, if what was judged still holds, whatever happens to others
        there. None if one more stands in the way, or something happened to the thing itself.

        Raises:
            Unanswered: the log is away.
        """
        tail = await self._read_on()
        if any(each.ref == self._ref or self._joins(each) for each in tail):
            return None
        return Guard(self._within, self._known_to)

    async def _read_on(self) -> Sequence[RecordedEvent]:
        end = await self._log.last_within(self._within)
        tail = await self._log.read_within(self._within, after=self._known_to, up_to=end)
        joined = [each.ref for each in tail if self._joins(each)]
        self.found = [*dict.fromkeys((*self.found, *joined))]
        self._known_to = end
        return tail

    async def _caught_up(self, deadline: float) -> Position:
        last = await self._log.last_within(self._within)
        if not await self._reached(last, max(0.0, deadline - time.monotonic())):
            raise Unavailable("the read model is behind; try again")
        self.found = await self._ask()
        return last


def began_inside(parent: Ref, recorded: RecordedEvent) -> bool:
    """Only what lies in it is read."""
    return recorded.ref != parent and isinstance(recorded.event, Created)


def began_to_use(ref: Ref, holders: Sequence[str], recorded: RecordedEvent) -> bool:
    wish = recorded.event
    return (
        isinstance(wish, Created | Updated)
        and recorded.ref.kind in holders
        and ref in uses(recorded.ref, wish.spec)
    )
