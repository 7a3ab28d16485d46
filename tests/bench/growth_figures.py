"""Reads over HTTP with 1,000,000 rows in the tables.

One volume is created through the API. Then its row and its labels are copied in SQL under 1,000,000
names: tables, indexes and documents are the product's own; the log does not hold these resources.
"""

import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import asyncpg
import msgspec

from secaplane.cli.dev import embedded
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import Supervisor
from secaplane.cli.processes.connections import page_keys
from secaplane.model.shape import Json
from secaplane.query.pages import skip_token
from secaplane.readmodel.schema.resources import RESOURCES
from tests.bench.figures import Figure, figure
from tests.bench.http_figures import settled
from tests.plane import CATALOGUE, TENANT, VOLUME, RunningPlane, config

REPEATS = 5
FEW, MANY = 1_000, 1_000_000
PAGE = 500
GETS, LISTS = 400, 8
COLLECTION = f"tenants/{TENANT}/workspaces/w/block-storages"
URL = f"/providers/seca.storage/v1/{COLLECTION}"
TEMPLATE = "v-0000000"
LABELLED: Json = VOLUME | {"labels": {"env": "prod", "tenth": "yes"}}
Ask = Callable[[str], Awaitable[float]]

COPY = """
insert into resources (kind, collection, name, life, stream, path, uid, tenant, labels, document,
    resource, position, terminating, gone, unsettled, created_by_system)
select kind, collection, named.name, 1000000000 + n, stream,
    collection || '/' || named.name, 'u' || n, tenant, named.labels::jsonb,
    replace(replace(document, '{template}', named.name), '"tenth":"yes"', named.tenth),
    replace(replace(resource, '{template}', named.name), '"tenth":"yes"', named.tenth),
    position, terminating, gone, unsettled, created_by_system
from resources, generate_series($1::int, $2::int) as n, lateral (
    select 'v-' || lpad(n::text, 7, '0') as name,
    case when n % 10 = 0 then '"tenth":"yes"' else '"tenth":"no"' end as tenth,
    case when n % 10 = 0 then '{{"env":"prod","tenth":"yes"}}'
        else '{{"env":"prod","tenth":"no"}}' end as labels
) as named where resources.name = '{template}'
"""
COPY_LABELS = """
insert into labels (kind, collection, key, value, name, life)
select kind, collection, l.key, l.value, name, life
from resources, jsonb_each_text(labels) as l (key, value)
where life between 1000000000 + $1::int and 1000000000 + $2::int
"""


async def measure() -> dict[str, Figure]:
    folder = Path(tempfile.mkdtemp(prefix="secaplane-many-"))
    try:
        (folder / "catalogue.toml").write_text(CATALOGUE)
        async with Supervisor(folder / "logs") as children:
            dev = DevPlane(config(folder), folder, 0, durable=False)
            await dev.start(children)
            plane = RunningPlane(dev, children, folder)
            async with aiohttp.ClientSession(headers=plane.headers) as session:
                return await _grown(plane, session)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _grown(plane: RunningPlane, session: aiohttp.ClientSession) -> dict[str, Figure]:
    await _put(session, plane.workspace("w"), {"spec": {}})
    await _put(session, plane.volume("w", TEMPLATE), LABELLED)
    await settled(plane)

    async def timed_get(path: str) -> float:
        began = time.perf_counter()
        async with session.get(plane.dev.url + path) as answer:
            body = await answer.read()
            assert answer.status == 200, body
        return time.perf_counter() - began

    await _copy(plane, 1, FEW)
    few = [await _get_s(timed_get, FEW) for _ in range(REPEATS)]
    await _copy(plane, FEW + 1, MANY)
    many = [await _get_s(timed_get, MANY) for _ in range(REPEATS)]
    return await _lists(plane, timed_get) | {
        "get_growth": figure([b / a for a, b in zip(few, many, strict=True)], "ratio")
    }


async def _lists(plane: RunningPlane, timed_get: Ask) -> dict[str, Figure]:
    first = f"{URL}?limit={PAGE}"
    last = f"{first}&skipToken={_token(plane)}"
    borne = f"{first}&labels=tenth%3Dyes"
    took: dict[str, list[float]] = {first: [], last: [], borne: []}
    for _ in range(REPEATS):
        once: dict[str, list[float]] = {path: [] for path in took}
        for _ in range(LISTS):
            for path, times in once.items():
                times.append(await timed_get(path))
        for path, times in once.items():
            took[path].append(statistics.median(times))
    return {
        "list_last_vs_first": _ratio(took[last], took[first]),
        "list_label_vs_plain": _ratio(took[borne], took[first]),
        "list_ms": figure([1000 * each for each in took[first]], "ms"),
    }


def _ratio(these: list[float], those: list[float]) -> Figure:
    return figure([a / b for a, b in zip(these, those, strict=True)], "ratio")


def _token(plane: RunningPlane) -> str:
    """The page token that leads to the last page."""
    after = MANY - PAGE
    listed = f"block-storage {COLLECTION} False "
    where = (f"v-{after:07}", 1_000_000_000 + after)
    return skip_token(where, listed, page_keys(plane.dev.config))


async def _get_s(timed_get: Ask, rows: int) -> float:
    names = random.Random(0).choices(range(1, rows + 1), k=GETS)
    return statistics.median([await timed_get(f"{URL}/v-{n:07}") for n in names])


async def _put(session: aiohttp.ClientSession, url: str, body: Json) -> None:
    async with session.put(url, data=msgspec.json.encode(body)) as answer:
        assert answer.status in (200, 201), await answer.text()


async def _copy(plane: RunningPlane, first: int, last: int) -> None:
    connection = await asyncpg.connect(plane.dev.postgres(embedded.OWNER))
    try:
        await connection.execute(f"set search_path to {RESOURCES.first}")
        await connection.execute(COPY.format(template=TEMPLATE), first, last)
        await connection.execute(COPY_LABELS, first, last)
        await connection.execute("vacuum analyze resources, labels")
    finally:
        await connection.close()
