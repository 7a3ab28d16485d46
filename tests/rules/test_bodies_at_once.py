"""Large bodies are bounded in number: of one caller, of all, and in work at once."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from secaplane.edge.requests.beside_loop import LARGE_BYTES
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.large_bodies import (
    ARRIVING_MAX,
    ARRIVING_OF_CALLER_MAX,
    TURNS,
    LargeBodies,
)
from secaplane.model.errors import RateLimited, Unavailable
from secaplane.policy.tokens.caller import Caller

LARGE, SMALL = LARGE_BYTES + 1, LARGE_BYTES
CHUNKED = -1


class Sent:
    """A request whose body arrives when it is said to."""

    def __init__(self, size: int) -> None:
        self.size, self.arrived = size, asyncio.Event()
        self.asked = asyncio.Event()

    async def body(self) -> bytes:
        self.asked.set()
        await self.arrived.wait()
        return b"x" * self.size


def context(announced: int) -> RequestContext:
    size = (b"content-length", str(announced).encode())
    framing = (b"transfer-encoding", b"chunked") if announced == CHUNKED else size
    return RequestContext({"method": "PUT", "path": "/", "headers": [framing]})


def sent(size: int) -> Sent:
    made = Sent(size)
    made.arrived.set()
    return made


async def test_a_small_body_waits_for_nothing() -> None:
    bodies, jane = LargeBodies(), Caller("i", "jane")
    async with AsyncExitStack() as stack:
        for _ in range(TURNS):
            await stack.enter_async_context(bodies.read(sent(LARGE), context(LARGE), jane))
        for announced in (SMALL, CHUNKED):
            async with bodies.read(sent(SMALL), context(announced), jane) as data:
                assert len(data) == SMALL


async def test_few_large_bodies_are_worked_on_at_once_and_others_wait_for_their_turn() -> None:
    bodies, jane = LargeBodies(), Caller("i", "jane")
    working = most = 0

    async def work(announced: int) -> None:
        nonlocal working, most
        async with bodies.read(sent(LARGE), context(announced), jane):
            working += 1
            most = max(most, working)
            await asyncio.sleep(0)
            working -= 1

    await asyncio.gather(*(work(each) for each in (LARGE, CHUNKED) * (ARRIVING_OF_CALLER_MAX // 2)))
    assert most == TURNS


async def test_without_a_turn_in_time_a_large_body_is_refused() -> None:
    bodies, jane = LargeBodies(turn_s=0), Caller("i", "jane")
    async with AsyncExitStack() as stack:
        for _ in range(TURNS):
            await stack.enter_async_context(bodies.read(sent(LARGE), context(LARGE), jane))
        with pytest.raises(Unavailable, match="try again"):
            await stack.enter_async_context(bodies.read(sent(LARGE), context(LARGE), jane))
    async with bodies.read(sent(LARGE), context(LARGE), jane):
        pass


@pytest.mark.parametrize("announced", [LARGE, CHUNKED])
async def test_one_caller_does_not_use_up_what_others_send(announced: int) -> None:
    bodies, arriving = LargeBodies(), list[Sent]()

    async def read(each: Sent, sub: str) -> None:
        async with bodies.read(each, context(announced), Caller("i", sub)):
            pass

    async with asyncio.TaskGroup() as group:
        for n in range(ARRIVING_MAX):
            arriving.append(Sent(SMALL))
            sub = f"caller-{n // ARRIVING_OF_CALLER_MAX}"
            group.create_task(read(arriving[-1], sub))
            await arriving[-1].asked.wait()
            if n == ARRIVING_OF_CALLER_MAX - 1:
                with pytest.raises(RateLimited, match="send fewer"):
                    await read(Sent(LARGE), sub)
        with pytest.raises(Unavailable):
            await read(Sent(LARGE), "another")
        for each in arriving:
            each.arrived.set()
    await read(sent(LARGE), "another")
