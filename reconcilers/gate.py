"""A bound on work that is done at the same time, foreground work first."""

import asyncio
from collections import deque

from secaplane.reconcilers.queue import BACKGROUND_TURN

_Lane = deque[asyncio.Future[None]]


class Gate:
    """At most `most` are inside at the same time. Those that wait enter in the order in which they
    came: foreground work before background work, except every BACKGROUND_TURN-th time."""

    def __init__(self, most: int) -> None:
        self._free, self._turns = most, 0
        self._foreground, self._background = _Lane(), _Lane()

    def entrance(self, *, background: bool = False) -> "Entrance":
        return Entrance(self, self._background if background else self._foreground)

    async def enter(self, lane: _Lane) -> None:
        if self._free:
            self._free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        lanes = [self._foreground, self._background]
        both = bool(self._foreground and self._background)
        if both and self._turns == BACKGROUND_TURN - 1:
            lanes.reverse()
        for lane in lanes:
            while lane:
                turn = lane.popleft()
                if not turn.done():
                    self._turns = (self._turns + 1) % BACKGROUND_TURN if both else 0
                    turn.set_result(None)
                    return
        self._free += 1


class Entrance:
    """`async with entrance:` one of a gate's two lanes; any number may use it at the same time."""

    def __init__(self, gate: Gate, lane: _Lane) -> None:
        self._gate, self._lane = gate, lane

    async def __aenter__(self) -> None:
        await self._gate.enter(self._lane)

    async def __aexit__(self, *raised: object) -> None:
        self._gate.leave()
