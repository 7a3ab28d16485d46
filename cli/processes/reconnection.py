"""The connections of a process to NATS, one after another; and a wait for the next one, for reads:
another server of the cluster may answer."""

import asyncio

from nats.aio.client import Client

RECONNECT_S_MAX = 2.0
POLL_S = 0.02


def connection_number(nats: Client) -> int | None:
    """The number of the present connection; None while there is none."""
    return int(nats.stats["reconnects"]) if nats.is_connected else None


class Reconnection:
    """After one wait in vain, nothing waits until there was a connection again: while no server of
    the cluster can be reached, reads must not be slow."""

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self._in_vain_after = -1
        """The number of reconnections at which a wait was in vain."""

    async def awaited(self) -> bool:
        """True if there is a connection again; False if there was one all the time."""
        reconnects = int(self._nats.stats["reconnects"])
        if self._nats.is_connected or reconnects == self._in_vain_after:
            return False
        loop = asyncio.get_running_loop()
        until = loop.time() + RECONNECT_S_MAX
        while loop.time() < until:
            await asyncio.sleep(POLL_S)
            if self._nats.is_connected:
                return True
        self._in_vain_after = reconnects
        return False
