"""Reconciliations in flight: a process that ends begins no more, and lets these finish."""

import asyncio


class InFlight:
    def __init__(self) -> None:
        self.closed = False
        """No other reconciliation may begin."""
        self._number = 0
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return self._number

    def __enter__(self) -> None:
        self._number += 1

    def __exit__(self, *raised: object) -> None:
        self._number -= 1
        self._left.set()

    async def ended(self, seconds: float) -> bool:
        """Let none begin any more, and wait until the last one has ended, for a bounded time; false
        if some have not. If it is true, no call to the cloud is in flight: what this process holds
        (partitions) may be handed over."""
        self.closed = True
        try:
            async with asyncio.timeout(seconds):
                while self._number:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            return False
        return True
