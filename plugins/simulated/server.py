"""The simulated cloud as a process: HTTP on one side, its file on the other.

PUT    /things/{uid}                 make it so                 -> Answer
POST   /things/{uid}/actions/{key}   act on it, once            -> Answer
DELETE /things/{uid}                 make it gone               -> Answer
GET    /offers                       region and SKUs
GET    /things, /things/{uid}        what there is              (for those who test)
GET    /counts                       what was done, for ever    (for those who test)
GET    /faults, PUT /faults          how it misbehaves          (for those who test)
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from secaplane.plugins.simulated import catalogue as catalogues
from secaplane.plugins.simulated.cloud import SimulatedCloud
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import ActionRequest, Answer, DesiredObject, Faults
from secaplane.plugins.simulated.world import Clock

Read = TypeVar("Read")

BODY_BYTES_MAX = 16 * 1024 * 1024
"""A load balancer may name 50,000 members, and each is sent with its uid."""
STOP_S_MAX = 1.0
"""How long answers under way may take once the cloud is told to stop."""

_encode = msgspec.json.Encoder().encode
_wish = msgspec.json.Decoder(DesiredObject)
_action = msgspec.json.Decoder(ActionRequest)
_faults = msgspec.json.Decoder(Faults)


async def run(
    *,
    host: str,
    port: int,
    file: Path,
    catalogue: Path | None,
    region: str,
    faults: dict[str, Any] | None,
    announce: Callable[[int], None],
    clock: Clock = time.time,
) -> None:
    """Serve until cancelled; `announce` is told the port, which is a free one if 0 was asked for.

    Raises:
        ValueError: the catalogue or the faults do not say what they should; one line says where.
    """
    from_catalogue = catalogues.read(catalogue or catalogues.STANDARD)
    state = CloudState(file)
    try:
        cloud = SimulatedCloud(state, from_catalogue, clock, secrets.token_bytes)
        if faults is not None:
            cloud.misbehave(msgspec.convert(faults, Faults))
        await _serve(CloudHttp(cloud, region), host, port, announce)
    finally:
        state.close()


async def _serve(edge: "CloudHttp", host: str, port: int, announce: Callable[[int], None]) -> None:
    app = web.Application(client_max_size=BODY_BYTES_MAX)
    app.add_routes(edge.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_S_MAX)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        announce(runner.addresses[0][1])
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class CloudHttp:
    """Requests to calls of the cloud, and the faults that befall answers."""

    def __init__(self, cloud: SimulatedCloud, region: str) -> None:
        self._cloud = cloud
        self._offers = _encode(cloud.catalogue.offers(region))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.put("/things/{uid}", self.ensure),
            web.post("/things/{uid}/actions/{key}", self.act),
            web.delete("/things/{uid}", self.remove),
            web.get("/offers", self.offers, allow_head=False),
            web.get("/things", self.things, allow_head=False),
            web.get("/things/{uid}", self.thing, allow_head=False),
            web.get("/counts", self.counts, allow_head=False),
            web.get("/faults", self.faults, allow_head=False),
            web.put("/faults", self.misbehave),
        ]

    async def ensure(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        desired = _read(_wish, await request.read())
        return await self._answer(request, self._cloud.ensure(request.match_info["uid"], desired))

    async def act(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        action = _read(_action, await request.read())
        uid, key = request.match_info["uid"], request.match_info["key"]
        if not key.isdecimal():
            raise web.HTTPBadRequest(text="a key is a position: a whole number")
        return await self._answer(request, self._cloud.act(uid, int(key), action))

    async def remove(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return await self._answer(request, self._cloud.remove(request.match_info["uid"]))

    async def offers(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return _json(self._offers)

    async def things(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        return _json(_encode(self._cloud.state.things()))

    async def thing(self, request: web.Request) -> web.Response:
        self._refuse_in_outage()
        thing = self._cloud.state.thing(request.match_info["uid"])
        if thing is None:
            raise web.HTTPNotFound(text="there is no such thing")
        return _json(_encode(thing))

    async def counts(self, request: web.Request) -> web.Response:
        return _json(_encode(self._cloud.state.counts()))

    async def faults(self, request: web.Request) -> web.Response:
        return _json(_encode(self._cloud.faults))

    async def misbehave(self, request: web.Request) -> web.Response:
        self._cloud.misbehave(_read(_faults, await request.read()))
        return _json(_encode(self._cloud.faults))

    def _refuse_in_outage(self) -> None:
        if self._cloud.faults.outage:
            raise web.HTTPServiceUnavailable(text="outage")

    async def _answer(self, request: web.Request, answer: Answer) -> web.Response:
        """What was asked for is done by now, durably; its answer may be late, or never come."""
        faults = self._cloud.faults
        if faults.lose_answers:
            left = faults.lose_answers - 1
            self._cloud.misbehave(msgspec.structs.replace(faults, lose_answers=left))
            if request.transport is not None:
                request.transport.abort()
        elif faults.hold_answers_s:
            await asyncio.sleep(faults.hold_answers_s)
        return _json(_encode(answer))


def _read(decoder: msgspec.json.Decoder[Read], body: bytes) -> Read:
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise web.HTTPBadRequest(text=str(error)) from error


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
