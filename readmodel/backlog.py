"""Backlog of the reconcilers: how long the first due resource of each tenant has waited for a
worker. Reconcilers announce it over core NATS, and processes that accept writes delay their answers
by a share of it, so that acceptance and reconciliation keep pace (docs/decisions/044).

An announcement may be lost, so it is repeated. Without announcements nothing is delayed: writes are
accepted while no reconciler runs.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from heapq import nlargest
from secrets import token_hex

import msgspec
from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from secaplane.eventlog.codec import NOT_JSON

ALLOWED_S = 1.0
"""A wait up to this long delays nothing: bursts are accepted at full speed and worked off."""
SHARE = 0.1
"""Of the wait beyond ALLOWED_S: the delay of one answer."""
ANNOUNCE_EVERY_S, VALID_S = 0.25, 1.5
TENANTS_MAX = 256
"""Tenants in one announcement, those that wait longest."""
PROCESSES_MAX = 64
"""Reconcilers processes whose announcements are kept."""
_UNREACHABLE = (errors.Error, OSError, TimeoutError, RuntimeError)


class _Announced(msgspec.Struct, frozen=True, array_like=True):
    process: str
    waits: Mapping[str, float]
    """By tenant, in seconds."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Announced).decode


class Backlog:
    """The newest announcement of each reconcilers process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._announced: dict[str, tuple[float, Mapping[str, float]]] = {}

    def take(self, process: str, waits: Mapping[str, float]) -> None:
        self._announced.pop(process, None)
        if waits:
            self._announced[process] = (self._clock(), waits)
        if len(self._announced) > PROCESSES_MAX:
            del self._announced[next(iter(self._announced))]

    def wait_s(self, tenant: str) -> float:
        """The longest wait announced for a tenant."""
        return max((waits.get(tenant, 0.0) for waits in self._valid()), default=0.0)

    @property
    def longest_s(self) -> float:
        """The longest wait of any tenant."""
        return max((max(waits.values()) for waits in self._valid()), default=0.0)

    def delay_s(self, tenant: str, most: float) -> float:
        """The delay of an answer to an accepted write in a tenant, `most` at most. It grows with
        the wait, without a step."""
        if not self._announced:
            return 0.0
        return min(most, SHARE * max(0.0, self.wait_s(tenant) - ALLOWED_S))

    def _valid(self) -> list[Mapping[str, float]]:
        since = self._clock() - VALID_S
        return [waits for at, waits in self._announced.values() if at >= since]


async def announce_backlog(
    nats: Client, stream: str, waits: Callable[[], Mapping[str, float]]
) -> None:
    """The reconcilers' side: announces waits beyond ALLOWED_S, and once that there are none."""
    process, silent = token_hex(8), True
    while True:
        some = {tenant: wait for tenant, wait in waits().items() if wait > ALLOWED_S}
        if some or not silent:
            most = dict(nlargest(TENANTS_MAX, some.items(), key=lambda each: each[1]))
            with suppress(*_UNREACHABLE):
                await nats.publish(_subject(stream), _encode(_Announced(process, most)))
        silent = not some
        await asyncio.sleep(ANNOUNCE_EVERY_S)


async def listen_to_backlog(nats: Client, stream: str, backlog: Backlog) -> None:
    """The side of processes that accept writes."""

    async def take(message: Msg) -> None:
        with suppress(*NOT_JSON):
            announced = _decode(message.data)
            backlog.take(announced.process, announced.waits)

    await nats.subscribe(_subject(stream), cb=take)


def _subject(stream: str) -> str:
    """No read model has that name (`readmodel.announcements`)."""
    return f"secaplane.progress.{stream}.backlog"
