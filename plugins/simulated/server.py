"""The process of the simulated cloud: HTTP in front of `SimulatedCloud` and its file.

PUT    /things/{uid}                 ensure                     -> Answer
POST   /things/{uid}/actions/{key}   act, once for each key     -> Answer
DELETE /things/{uid}                 remove                     -> Answer
GET    /things/{uid}                 observe                    -> CloudObject, or 404
POST   /observations                 observe several, each with its fence
GET    /inventory/{uid}              a page of what exists after this uid (or empty)
GET    /catalogue                    region, SKUs and images
GET    /things                       everything that exists     (for tests)
GET    /counts                       changes ever made          (for tests)
GET    /faults, PUT /faults          injected faults            (for tests)
PUT    /behind/{uid}                 put a CloudObject there that no plugin asked for   (for tests)
DELETE /behind/{uid}                 lose a thing without a removal                     (for tests)

Every request needs the header `Authorization: Bearer <shared token>`; 401 otherwise. Where the
cloud listens on loopback, drills (`/faults`, `/counts`) need none: they show and change no thing.
The first three need the header `Fence: <epoch>.<number>`; 412 answers a fence that is too small.
"""

import asyncio
import hmac
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from secaplane.plugins.plugin import Fence, FenceRejected, Observed
from secaplane.plugins.simulated import catalogue as catalogues
from secaplane.plugins.simulated.cloud import SimulatedCloud
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import (
    FENCE_HEADER,
    ActionRequest,
    Answer,
    CloudObject,
    DesiredObject,
    Faults,
    ObservationAnswer,
    ObservationQuestion,
)
from secaplane.plugins.simulated.world import Clock

Read = TypeVar("Read")
Answered = TypeVar("Answered")

BODY_BYTES_MAX = 16 * 1024 * 1024
"""A load balancer may have 50,000 members, and each is sent with its uid."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")
DRILLS = ("/faults", "/counts")
STOP_S_MAX = 1.0
"""Limit for requests in progress once the process is asked to stop."""

_encode = msgspec.json.Encoder().encode
_desired = msgspec.json.Decoder(DesiredObject)
_action = msgspec.json.Decoder(ActionRequest)
_thing = msgspec.json.Decoder(CloudObject)
_faults = msgspec.json.Decoder(Faults)
_questions = msgspec.json.Decoder(list[ObservationQuestion])


async def run(
    *,
    host: str,
    port: int,
    file: Path,
    catalogue: Path | None,
    region: str,
    token: str,
    faults: dict[str, Any] | None,
    announce: Callable[[int], None],
    tls: ssl.SSLContext | None = None,
    clock: Clock = time.time,
) -> None:
    """Serve until cancelled; `announce` gets the port, a free one if `port` is 0.

    Raises:
        ValueError: the catalogue or the faults are wrong, or there is no token; one line.
    """
    if not token:
        raise ValueError("no token is configured that the plugin must send (cloud.token)")
    offered = catalogues.read(catalogue or catalogues.STANDARD)
    state = CloudState(file)
    try:
        cloud = SimulatedCloud(state, offered, clock, secrets.token_bytes)
        if faults is not None:
            cloud.inject(msgspec.convert(faults, Faults))
        guard = _guard(token, drills_are_open=host in LOOPBACK)
        await _serve(CloudHttp(cloud, region), guard, host, port, announce, tls)
    finally:
        state.close()


def _guard(token: str, *, drills_are_open: bool) -> Middleware:
    """Refuses requests without the token, before anything of them is read."""
    expected = f"Bearer {token}".encode()

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").encode(errors="replace")
        is_open = drills_are_open and request.path in DRILLS
        if not (hmac.compare_digest(sent, expected) or is_open):
            raise web.HTTPUnauthorized(
                text="send the shared token of this cloud: Authorization: Bearer <token>",
                headers={"WWW-Authenticate": "Bearer"},
            )
        return await handler(request)

    return guard


async def _serve(
    edge: "CloudHttp",
    guard: Middleware,
    host: str,
    port: int,
    announce: Callable[[int], None],
    tls: ssl.SSLContext | None,
) -> None:
    app = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[guard])
    app.add_routes(edge.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S_MAX)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
        announce(runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class CloudHttp:
    """Maps requests to calls of the cloud, and injects faults into answers."""

    def __init__(self, cloud: SimulatedCloud, region: str) -> None:
        self._cloud = cloud
        self._catalogue = _encode(cloud.catalogue.entries(region))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/things/{uid}", self.ensure),
            web.post("/things/{uid}/actions/{key}", self.act),
            web.delete("/things/{uid}", self.remove),
            web.post("/observations", self.observe_many),
            web.get("/inventory/{uid:.*}", self.inventory, allow_head=False),
            web.put("/behind/{uid}", self.put_behind),
            web.delete("/behind/{uid}", self.lose_behind),
            web.get("/catalogue", self.catalogue, allow_head=False),
            web.get("/things", self.things, allow_head=False),
            web.get("/things/{uid}", self.thing, allow_head=False),
            web.get("/counts", self.counts, allow_head=False),
            web.get("/faults", self.faults, allow_head=False),
            web.put("/faults", self.inject),
        ]

    async def ensure(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        uid, desired = request.match_info["uid"], _read(_desired, await request.read())
        fence = _fence(request)
        return await self._answer(request, lambda: self._cloud.ensure(uid, desired, fence))

    async def act(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        action = _read(_action, await request.read())
        uid, key = request.match_info["uid"], request.match_info["key"]
        if not key.isdecimal():
            raise web.HTTPBadRequest(text="a key is a whole number")
        fence = _fence(request)
        return await self._answer(request, lambda: self._cloud.act(uid, int(key), action, fence))

    async def remove(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        uid, fence = request.match_info["uid"], _fence(request)
        return await self._answer(request, lambda: self._cloud.remove(uid, fence))

    async def catalogue(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return _json(self._catalogue)

    async def inventory(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return _json(_encode(self._cloud.state.inventory(request.match_info["uid"])))

    async def put_behind(self, request: web.Request) -> web.Response:
        self._cloud.put_behind(_read(_thing, await request.read()))
        return _json(b"{}")

    async def lose_behind(self, request: web.Request) -> web.Response:
        self._cloud.lose_behind(request.match_info["uid"])
        return _json(b"{}")

    async def things(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return _json(_encode(self._cloud.state.things()))

    async def thing(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        """Tests may leave the fence out."""
        uid = request.match_info["uid"]
        if FENCE_HEADER in request.headers:
            fence = _fence(request)
            _fenced(lambda: self._cloud.observe(uid, fence))
        thing = self._cloud.state.thing(uid)
        if thing is None:
            raise web.HTTPNotFound(text="nothing exists for this uid")
        return _json(_encode(thing))

    async def observe_many(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        questions = _read(_questions, await request.read())
        return _json(_encode([self._observed(each) for each in questions]))

    def _observed(self, asked: ObservationQuestion) -> ObservationAnswer:
        try:
            seen = self._cloud.observe(asked.uid, asked.fence)
        except FenceRejected as error:
            return ObservationAnswer(rejected=str(error))
        return ObservationAnswer(seen.status if isinstance(seen, Observed) else None)

    async def counts(self, request: web.Request) -> web.Response:
        return _json(_encode(self._cloud.state.counts()))

    async def faults(self, request: web.Request) -> web.Response:
        return _json(_encode(self._cloud.faults))

    async def inject(self, request: web.Request) -> web.Response:
        self._cloud.inject(_read(_faults, await request.read()))
        return _json(_encode(self._cloud.faults))

    def _refuse_in_outage(self) -> None:
        if self._cloud.faults.outage:
            raise web.HTTPServiceUnavailable(text="outage")

    async def _answer(self, request: web.Request, call: Callable[[], Answer]) -> web.Response:
        """The call is durable before faults delay its answer or drop it."""
        answer = _fenced(call)
        faults = self._cloud.faults
        if faults.lose_answers:
            left = faults.lose_answers - 1
            self._cloud.inject(msgspec.structs.replace(faults, lose_answers=left))
            if request.transport is not None:
                request.transport.abort()
        elif faults.hold_answers_s:
            await asyncio.sleep(faults.hold_answers_s)
        return _json(_encode(answer))


def _fence(request: web.Request) -> Fence:
    epoch, _, number = request.headers.get(FENCE_HEADER, "").partition(".")
    if not epoch.isdecimal() or not number.isdecimal():
        raise web.HTTPBadRequest(text=f"the header {FENCE_HEADER} is <epoch>.<number>")
    return Fence(int(epoch), int(number))


def _fenced(call: Callable[[], Answered]) -> Answered:
    try:
        return call()
    except FenceRejected as error:
        raise web.HTTPPreconditionFailed(text=str(error)) from error


def _read(decoder: msgspec.json.Decoder[Read], body: bytes) -> Read:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
