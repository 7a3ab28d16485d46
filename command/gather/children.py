"""The children of a parent, and the expectation under which no other child appears (no orphans)."""

import time
from collections.abc import Awaitable, Callable, Sequence

from secaplane.eventlog.log import Followed, Log, PrefixExpectation, UndecodableEvent
from secaplane.model.errors import Unavailable
from secaplane.model.events import Created
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref

AskChildren = Callable[[Ref, bool], Awaitable[Sequence[Ref]]]
"""(parent, including those that are being deleted) -> its children according to the read model."""
WaitReached = Callable[[Sequence[Position], float], Awaitable[bool]]
"""(positions, seconds) -> whether the read model reached them in time."""


class ChildrenReader:
    """Reads the children once from the read model, at a position that it has reached, and later
    creations from the log. After a version conflict only the new events are read."""

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
        self._parent, self._include_terminating = parent, include_terminating
        self._read_up_to = BEGINNING
        self.children: Sequence[Ref] = ()

    async def expectation(self, deadline: float) -> PrefixExpectation:
        """An expectation under which `children` is complete; `deadline` is in monotonic seconds.

        Raises:
            Unavailable: the read model is behind the log.
            LogUnavailable: the log did not answer.
        """
        if self._read_up_to == BEGINNING:
            self._read_up_to = await self._read_rows(deadline)
        await self._read_new_events()
        return PrefixExpectation(self._parent, self._read_up_to)

    async def renewed(self) -> PrefixExpectation | None:
        """The expectation after a version conflict, if the decision still holds: nothing but
        reports on, and deletions of, existing children happened. None if a child was created, or
        the parent itself has a new event.

        Raises:
            LogUnavailable: the log did not answer.
        """
        events = await self._read_new_events()
        if any(each.ref == self._parent or _may_create(each) for each in events):
            return None
        return PrefixExpectation(self._parent, self._read_up_to)

    async def _read_new_events(self) -> Sequence[Followed]:
        end = await self._log.last_within(self._parent)
        events = await self._log.read_within(self._parent, after=self._read_up_to, up_to=end)
        created = [each.ref for each in events if each.ref != self._parent and _may_create(each)]
        self.children = [*dict.fromkeys((*self.children, *created))]
        self._read_up_to = max(self._read_up_to, end)
        return events

    async def _read_rows(self, deadline: float) -> Position:
        last = await self._log.last_within(self._parent)
        if not await self._reached([last], max(0.0, deadline - time.monotonic())):
            raise Unavailable("the read model is behind the log; try again")
        self.children = await self._ask(self._parent, self._include_terminating)
        return last


def _may_create(followed: Followed) -> bool:
    """An event that cannot be decoded may be a creation."""
    return isinstance(followed, UndecodableEvent) or isinstance(followed.event, Created)
