"""Failed authentications slow the refusals of their address, and nothing else."""

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from secaplane.edge.guard import Guard
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.failures import (
    ADDRESSES_MAX,
    BURST,
    DELAY_S_MAX,
    PER_S,
    FailedAuthentications,
)
from secaplane.model.errors import Unauthenticated
from secaplane.policy.tokens.caller import Caller


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_of_failures_is_refused_at_once_and_more_wait_longer_and_longer() -> None:
    counted = FailedAuthentications(Clock())
    assert [counted.delay_s("a") for _ in range(BURST)] == [0.0] * BURST
    delays = [counted.delay_s("a") for _ in range(200)]
    assert delays == sorted(delays)
    assert delays[0] == pytest.approx(1 / PER_S)
    assert delays[-1] == pytest.approx(DELAY_S_MAX)


def test_the_failures_of_one_address_are_not_those_of_another() -> None:
    counted = FailedAuthentications(Clock())
    for _ in range(BURST * 10):
        counted.delay_s("a")
    assert counted.delay_s("b") == 0.0


def test_failures_are_forgotten_with_time() -> None:
    clock = Clock()
    counted = FailedAuthentications(clock)
    for _ in range(BURST * 10):
        counted.delay_s("a")
    clock.now += BURST / PER_S + DELAY_S_MAX
    assert [counted.delay_s("a") for _ in range(BURST)] == [0.0] * BURST


def test_the_number_of_addresses_is_bounded() -> None:
    counted = FailedAuthentications(Clock())
    for n in range(ADDRESSES_MAX + 10):
        counted.delay_s(str(n))
    assert len(counted._debts) == ADDRESSES_MAX


class Tokens:
    async def caller(self, authorization: str | None) -> Caller:
        if authorization != "Bearer good":
            raise Unauthenticated("no")
        return Caller("i", "jane")


class Recorder:
    def authenticated(self, context: RequestContext, caller: Caller) -> None: ...


async def test_a_valid_token_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    stubs: Any = (Tokens(), None, Recorder())
    tokens, policy, recorder = stubs
    counted = FailedAuthentications(Clock())
    guard = Guard(tokens, policy, recorder, failures=counted)

    def request(token: bytes) -> RequestContext:
        headers = [(b"authorization", b"Bearer " + token)]
        scope = {"method": "GET", "path": "/", "client": ("192.0.2.1", 7), "headers": headers}
        return RequestContext(scope)

    for _ in range(BURST + 1):
        with pytest.raises(Unauthenticated):
            await guard.authenticate(request(b"bad"))
    assert len(waited) == 1
    await guard.authenticate(request(b"good"))
    assert len(waited) == 1
