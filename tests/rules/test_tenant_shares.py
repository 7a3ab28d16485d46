"""Shares of tenants in a process: a request of one tenant does not wait behind everything that
another one has sent, and a tenant that is alone waits for nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from litestar import Request, Response, route
from litestar.enums import HttpMethod
from litestar.exceptions import LitestarException
from litestar.response import Stream

from secaplane.edge.requests.context import request_context
from secaplane.edge.requests.tenant_shares import AT_ONCE, PRESENT_S, WAIT_S_MAX, TenantShares
from secaplane.edge.serving import app
from secaplane.edge.serving.metrics import Metrics
from secaplane.model.errors import Conflict
from tests.virtual_time import in_virtual_time


class Scene:
    """Requests of tenants that are at work until they are answered."""

    def __init__(self) -> None:
        self.shares = TenantShares(clock=asyncio.get_running_loop().time)
        self.working: list[tuple[str, Callable[[], None]]] = []
        self.tasks = set[asyncio.Task[None]]()

    async def sent(self, tenant: str, number: int = 1) -> list[asyncio.Task[None]]:
        tasks = [asyncio.create_task(self._request(tenant)) for _ in range(number)]
        self.tasks.update(tasks)
        await settled()
        return tasks

    async def _request(self, tenant: str) -> None:
        self.working.append((tenant, await self.shares.begin(tenant)))

    async def answered(self, tenant: str) -> None:
        """The oldest request at work."""
        first = next(each for each in self.working if each[0] == tenant)
        self.working.remove(first)
        first[1]()
        await settled()

    def at_work(self, tenant: str) -> int:
        return sum(each == tenant for each, _ in self.working)


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@in_virtual_time
async def test_a_tenant_that_is_alone_waits_for_nothing() -> None:
    scene = Scene()
    await scene.sent("acme", 1000)
    assert scene.at_work("acme") == 1000


@in_virtual_time
async def test_a_request_of_another_tenant_does_not_wait_for_those_before_it() -> None:
    scene = Scene()
    await scene.sent("acme", 1000)
    await scene.sent("other")
    assert scene.at_work("other") == 1


@in_virtual_time
async def test_of_two_tenants_each_has_half_and_the_rest_waits_in_order() -> None:
    scene = Scene()
    await scene.sent("other")
    tasks = await scene.sent("acme", 10)
    assert scene.at_work("acme") == AT_ONCE // 2
    for done in range(1, 7):
        await scene.answered("acme")
        assert scene.at_work("acme") == AT_ONCE // 2
        begun = AT_ONCE // 2 + done
        assert [each.done() for each in tasks] == [True] * begun + [False] * (10 - begun)


@in_virtual_time
async def test_many_tenants_have_the_same_share_and_each_has_one() -> None:
    for tenants in (2, 3, 5, 8, 100):
        await the_same_share(tenants)


async def the_same_share(tenants: int) -> None:
    scene = Scene()
    names = [f"t{n}" for n in range(tenants)]
    for name in names:
        await scene.sent(name)
    for name in names:
        await scene.sent(name, 20)
    shares = {scene.at_work(name) for name in names}
    assert len(shares) == 1
    assert shares.pop() == max(1, -(-AT_ONCE // tenants))


@in_virtual_time
async def test_a_tenant_that_went_away_takes_no_part() -> None:
    scene = Scene()
    await scene.sent("other")
    await scene.answered("other")
    await scene.sent("acme", 5)
    assert scene.at_work("acme") == AT_ONCE // 2
    await asyncio.sleep(PRESENT_S + 0.01)
    await scene.sent("acme", 20)
    assert scene.at_work("acme") == 25


@in_virtual_time
async def test_nothing_waits_for_longer_than_a_tenth_of_a_second() -> None:
    """The requests at work may wait for a database that hangs."""
    scene = Scene()
    await scene.sent("other")
    await scene.sent("acme", 50)
    await asyncio.sleep(WAIT_S_MAX + 0.01)
    assert scene.at_work("acme") == 50


@in_virtual_time
async def test_a_request_that_was_cancelled_takes_no_turn() -> None:
    scene = Scene()
    await scene.sent("other")
    tasks = await scene.sent("acme", 6)
    tasks[4].cancel()
    await settled()
    await scene.answered("acme")
    assert tasks[5].done()
    assert scene.at_work("acme") == AT_ONCE // 2


@in_virtual_time
async def test_nothing_is_kept_of_requests_that_are_answered() -> None:
    scene = Scene()
    for tenant in ("acme", "other"):
        await scene.sent(tenant, 30)
    await asyncio.sleep(PRESENT_S + 0.01)
    for tenant in ("acme", "other"):
        while scene.at_work(tenant):
            await scene.answered(tenant)
    await scene.sent("third")
    await scene.answered("third")
    assert scene.shares._working == {}
    assert scene.shares._waiting == {}
    assert [*scene.shares._present] == ["third"]


# --- the turn of a request


@pytest.mark.parametrize("outcome", [None, Conflict("is in use"), KeyError("a defect")], ids=repr)
async def test_an_answer_ends_the_turn_of_its_request(outcome: Exception | None) -> None:
    shares, seen = TenantShares(), list[int]()

    @route("/providers/x/v1/tenants/{tenant:str}", http_method=HttpMethod.GET)
    async def thing(request: Request[Any, Any, Any]) -> Response[bytes]:
        for _ in range(2):  # a request that is admitted twice has one turn
            await request_context(request.scope).take_share(shares, "acme")
        seen.append(shares._working["acme"])
        if outcome is not None:
            raise outcome
        return Response(b"{}", media_type="application/json")

    scope = http_scope("/providers/x/v1/tenants/acme")
    built = app.build([thing], metrics=Metrics())
    with suppress(KeyError):
        await built(scope, nothing_received, nothing_sent)
    assert seen == [1]
    assert shares._working == {}


async def test_a_share_ends_when_the_answer_begins_or_its_request_is_cancelled() -> None:
    """A long download keeps no request of its tenant waiting."""
    shares, begun = TenantShares(), asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a"
        begun.set()
        await asyncio.Event().wait()

    @route("/providers/x/v1/tenants/{tenant:str}", http_method=HttpMethod.GET)
    async def download(request: Request[Any, Any, Any]) -> Stream:
        await request_context(request.scope).take_share(shares, "acme")
        return Stream(chunks())

    @route("/providers/x/v1/waiting/{tenant:str}", http_method=HttpMethod.GET)
    async def waiting(request: Request[Any, Any, Any]) -> Response[bytes]:
        await request_context(request.scope).take_share(shares, "acme")
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    built = app.build([download, waiting], metrics=Metrics())
    for path, working in (("tenants", {}), ("waiting", {"acme": 1})):
        scope = http_scope(f"/providers/x/v1/{path}/acme")
        request = asyncio.ensure_future(built(scope, nothing_received, nothing_sent))
        await asyncio.wait_for(begun.wait(), 30)
        begun.clear()
        assert shares._working == working
        request.cancel()
        with suppress(asyncio.CancelledError, LitestarException):
            await request
        assert shares._working == {}


async def nothing_received() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def nothing_sent(message: Any) -> None: ...


def http_scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"a")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
