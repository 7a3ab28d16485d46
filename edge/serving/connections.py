"""Limits of the connections of one port: their number in all and for each address, and deadlines.

A connection that waits for a request is closed before one that is being answered, and one address
cannot use up what others need. Trusted proxies have no limit of their own: they stand for many.
"""

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Protocol

from secaplane.edge.requests.client_address import TrustedProxies

TOTAL_MAX = 4096
PER_ADDRESS_MAX = 512
SWEEP_S = 1.0
UNSENT_BYTES_MAX = 64 * 1024 * 1024
"""Of all answers that their readers have yet to take."""
DESCRIPTORS_RESERVED = 256
"""File descriptors of the process that are no connections of clients."""


@dataclass(frozen=True)
class ConnectionLimits:
    connections_max: int = TOTAL_MAX
    per_address_max: int = PER_ADDRESS_MAX
    head_s: float = 10.0
    """Time for a head: request line and headers."""
    body_bytes_per_s: int = 1024
    """Least rate of a body, over `window_s`."""
    window_s: float = 10.0
    idle_s: float = 75.0
    """Time between two requests of a connection."""
    unsent_bytes_max: int = UNSENT_BYTES_MAX
    proxies: TrustedProxies = field(default_factory=TrustedProxies)

    def within_descriptors(self) -> "ConnectionLimits":
        """As many connections as the process can open; its soft limit is raised to the hard one."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard == resource.RLIM_INFINITY:
            return self
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        most = max(hard - DESCRIPTORS_RESERVED, 1)
        return replace(self, connections_max=min(self.connections_max, most))


class Connection(Protocol):
    """A connection, as the limits see it."""

    @property
    def address(self) -> str:
        """The peer's address."""

    @property
    def waiting_since(self) -> float | None:
        """Time since when it waits for a request; None while one is read or answered."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes of answers that its peer has not taken."""

    def overdue(self, now: float) -> bool:
        """True if its peer is too slow, in sending or in receiving."""

    def close(self) -> None:
        """Close at once."""


class Connections:
    """The open connections of one port."""

    def __init__(self, limits: ConnectionLimits) -> None:
        self.limits = limits
        self.closing = False
        """The server ends: each answer closes its connection."""
        self._open: dict[Connection, str] = {}
        """Connection -> the address that it counts for; empty for a proxy."""
        self._by_address = Counter[str]()
        self._unread = dict[Connection, None]()
        """Those with answers that wait for their readers, the one that waits for longest first."""

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection) -> bool:
        """Count a new connection; False if it is one too many."""
        address = connection.address
        counted = "" if self.limits.proxies.trusts(address) else address
        if counted and self._by_address[counted] >= self.limits.per_address_max:
            return False
        if len(self._open) >= self.limits.connections_max and not self._close_longest_waiting():
            return False
        self._open[connection] = counted
        self._by_address[counted] += 1
        return True

    def remove(self, connection: Connection) -> None:
        self.read(connection)
        counted = self._open.pop(connection, None)
        if counted is not None:
            self._by_address[counted] -= 1
            if not self._by_address[counted]:
                del self._by_address[counted]

    def unread(self, connection: Connection) -> None:
        """An answer waits for its reader. While all of them take too many bytes, that connection
        is closed that waits for longest at the address with the most."""
        self._unread[connection] = None
        unsent = Counter[str]()
        for each in self._unread:
            unsent[self._open.get(each, "")] += each.unsent_bytes
        while unsent.total() > self.limits.unsent_bytes_max:
            (most, _), *_ = unsent.most_common(1)
            longest = next(each for each in self._unread if self._open.get(each, "") == most)
            unsent[most] -= longest.unsent_bytes
            self.read(longest)
            longest.close()

    def read(self, connection: Connection) -> None:
        """The reader of a connection has taken its answers, or is gone."""
        self._unread.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Close the connections whose peers are too slow."""
        for connection in [each for each in self._open if each.overdue(now)]:
            connection.close()

    def close_all(self) -> None:
        for connection in [*self._open]:
            connection.close()

    async def run(self) -> None:
        """Sweep every SWEEP_S, for ever."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep(asyncio.get_running_loop().time())

    def _close_longest_waiting(self) -> bool:
        waiting = [
            (since, n, each)
            for n, each in enumerate(self._open)
            if (since := each.waiting_since) is not None
        ]
        if not waiting:
            return False
        longest = min(waiting)[2]
        self.remove(longest)
        longest.close()
        return True
