"""How far the read model is behind the log's end."""

import asyncio
from collections.abc import Callable

from eventlog.log import Log, Unanswered
from model.shape import Position

LOOK_EVERY_S = 1.0


class Lag:
    """Asked of the leader now and then; `positions` is what it last came to."""

    def __init__(self, log: Log, position: Callable[[], Position]) -> None:
        self._log, self._position = log, position
        self.positions = 0

    async def run(self) -> None:
        while True:
            try:
                end = await self._log.end()
                self.positions = max(0, end - self._position())
            except Unanswered:
                pass  # whoever asks is told that the log is away
            await asyncio.sleep(LOOK_EVERY_S)
