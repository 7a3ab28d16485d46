"""The past: whether answers of then are those of a fold of the log from its beginning, and their
time compared with a GET of the present."""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence

import aiohttp
import msgspec

from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.events import RecordedEvent
from secaplane.model.position import Position
from secaplane.model.shape import Ref
from tests.bench.figures import Figure, figure
from tests.bench.http_figures import put, settled
from tests.flows.past_scene import Folded, folded, recorded
from tests.opened_log import opened_log
from tests.plane import TENANT, VOLUME, RunningPlane
from tests.servers import connected

VOLUMES, ROUNDS, PLACE = 20, 10, "past"
QUESTIONS, MOMENTS = 2000, 200
REPEATS, GETS = 5, 200
DELETED_S_MAX = 60.0


async def measure(plane: RunningPlane) -> dict[str, Figure]:
    async with aiohttp.ClientSession(headers=plane.headers) as session:
        await _written(plane, session)
        await settled(plane)
        events = await _events(plane)
        equal = await _equal_to_a_fold(plane, session, events)
        times = [await _times_a_get(plane, session, events) for _ in range(REPEATS)]
    return {
        "asof_equal": figure([equal], "count"),
        "asof_vs_get": figure(times, "ratio"),
    }


async def _written(plane: RunningPlane, session: aiohttp.ClientSession) -> None:
    """Volumes of several versions, of which every fourth has a former life."""
    await put(session, plane.workspace(PLACE), "{}")
    urls = [plane.volume(PLACE, f"v{n}") for n in range(VOLUMES)]
    for size in range(10, 10 + ROUNDS):
        body = VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": size}}
        for url in urls:
            await put(session, url, msgspec.json.encode(body).decode())
        if size == 10 + ROUNDS // 2:
            await asyncio.gather(*(_deleted(session, url) for url in urls[::4]))


async def _deleted(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(DELETED_S_MAX), session.delete(url):
        while True:
            async with session.get(url) as answer:
                if answer.status == 404:
                    return
            await asyncio.sleep(0.05)


async def _events(plane: RunningPlane) -> Sequence[RecordedEvent]:
    config = plane.dev.config
    async with connected(plane.dev.nats("everything")) as nats:
        log = opened_log(config, nats)
        return await recorded(log, TENANT, PLACE)


async def _equal_to_a_fold(
    plane: RunningPlane, session: aiohttp.ClientSession, events: Sequence[RecordedEvent]
) -> int:
    """The number of answers, of QUESTIONS, that are those of a fold."""
    luck, now, equal = random.Random(2), folded(events), 0
    refs = [each for each in now if each.kind != "tenant"]
    for _ in range(MOMENTS):
        event = luck.choice(events)
        moment = event.position if luck.random() < 0.5 else event.time
        then = Folded(events, moment, now)
        for ref in luck.choices(refs, k=QUESTIONS // MOMENTS):
            async with session.get(_url(plane, ref), params={"asOf": _text(moment)}) as answer:
                shown = await answer.json() if answer.status == 200 else answer.status
            expected = then.answer(ref)
            equal += shown == (404 if expected is None else msgspec.json.decode(encode(expected)))
    return equal


async def _times_a_get(
    plane: RunningPlane, session: aiohttp.ClientSession, events: Sequence[RecordedEvent]
) -> float:
    """Median time of a GET as of then / of a GET of the present, one after the other."""
    luck, url = random.Random(3), plane.volume(PLACE, "v1")
    own = [each for each in events if each.ref.path.endswith("/v1")]
    present, past = list[float](), list[float]()
    for _ in range(GETS):
        event = luck.choice(own)
        moment = event.position if luck.random() < 0.5 else event.time
        for seconds, asked in ((present, {}), (past, {"asOf": _text(moment)})):
            began = time.perf_counter()
            async with session.get(url, params=asked) as answer:
                assert answer.status == 200, await answer.text()
            seconds.append(time.perf_counter() - began)
    return statistics.median(past) / statistics.median(present)


def _url(plane: RunningPlane, ref: Ref) -> str:
    kind = KINDS[ref.kind]
    return f"{plane.dev.url}{kind.url.format_map(kind.ids(ref.path))}/{ref.name}"


def _text(moment: object) -> str:
    return str(moment) if isinstance(moment, Position) else str(msgspec.to_builtins(moment))
