"""How long our own processes need from start to ready, with a short log and with a long one.

The long log is written by a NATS server that does not wait for the disk, and its rows by COPY
through the projection's own row functions; what is measured runs on servers as they are shipped.
"""

import asyncio
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import nats
from nats.aio.client import Client

from secaplane.cli.dev import embedded
from secaplane.cli.dev.plane import DevPlane
from secaplane.cli.dev.supervisor import ChildProcess, Supervisor
from secaplane.eventlog.codec import NewEvent, encode
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import subject
from secaplane.model.events import SYSTEM, Created, RecordedEvent, StatusReported
from secaplane.model.shape import Ref, State
from secaplane.projector import statement
from secaplane.projector.folding import fold
from secaplane.projector.rebuild import switch
from secaplane.readmodel.schema import tables
from tests.bench.figures import Figure, figure
from tests.log.new_events import SALT
from tests.positions import nth
from tests.stand import CATALOGUE, OWN, TENANT, VOLUME, config, start_seconds

REPEATS = 5
LONG, SHORT = 200_000, 200
IN_FLIGHT = 500
REGION = "eu-1"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


async def measure() -> dict[str, Figure]:
    short = Path(tempfile.mkdtemp(prefix="secaplane-short-"))
    long = Path(tempfile.mkdtemp(prefix="secaplane-long-"))
    try:
        for folder, events in ((short, SHORT), (long, LONG)):
            await _seed(folder, events)
        took = {short: await _restarts(short), long: await _restarts(long)}
        ratios = [b / a for a, b in zip(sorted(took[short]), sorted(took[long]), strict=True)]
        return {
            "restart_growth": figure(ratios, "ratio"),
            "restart_s": figure(took[long], "s"),
        }
    finally:
        shutil.rmtree(short, ignore_errors=True)
        shutil.rmtree(long, ignore_errors=True)


async def _restarts(folder: Path) -> list[float]:
    """NATS and PostgreSQL stay up."""
    took = []
    house = DevPlane(config(folder), folder, 0, lasting=True)
    async with Supervisor(folder / "logs") as servers:
        await servers.start(house.nats_server())
        await servers.start(await house.postgres_server())
        for _ in range(REPEATS + 1):
            async with Supervisor(folder / "logs") as own:
                took.append(await start_seconds(house, own, OWN))
    return took[1:]


async def _seed(folder: Path, events: int) -> None:
    (folder / "catalogue.toml").write_text(CATALOGUE)
    house = DevPlane(config(folder), folder, 0, lasting=True)
    seeded = await _seed_log(house, folder, events)
    async with Supervisor(folder / "logs") as servers:
        await servers.start(await house.postgres_server())
        await _seed_rows(house, seeded)


async def _seed_log(house: DevPlane, folder: Path, events: int) -> list[RecordedEvent]:
    async with Supervisor(folder / "logs") as servers:
        await servers.start(_hasty(house, folder))
        client = await _patient_client(house.nats("everything"))
        await JetStreamLog(client, streams=Streams("SECA"), region=REGION).prepare()
        pages = [_page(n) for n in range(events)]
        for first in range(0, events, IN_FLIGHT):
            await asyncio.gather(
                *(
                    client.request(subject(page.ref, REGION), encode(page, "SECA"), timeout=30)
                    for page in pages[first : first + IN_FLIGHT]
                )
            )
        await client.close()
    return [page.at(nth(n)) for n, page in enumerate(pages, start=1)]


def _hasty(house: DevPlane, folder: Path) -> ChildProcess:
    """The server as it is shipped, but for the fsync of each message."""
    shipped = house.nats_server()
    config = folder / "hasty.conf"
    config.write_text(Path(shipped.argv[2]).read_text().replace("sync_interval: always", ""))
    return replace(shipped, argv=(shipped.argv[0], "-c", str(config)))


async def _patient_client(url: str) -> Client:
    for _ in range(100):
        try:
            return await nats.connect(url, error_cb=_silent)
        except OSError:
            await asyncio.sleep(0.1)
    raise TimeoutError("NATS does not start")


async def _silent(error: Exception) -> None: ...


def _page(n: int) -> NewEvent:
    """Creations and the reports that settle them, in turn."""
    path = f"tenants/{TENANT}/workspaces/w{n // 2 % 100}/block-storages/v{n // 2}"
    ref = Ref("block-storage", path)
    event: Created | StatusReported = Created(spec=VOLUME["spec"])
    if n % 2:
        event = StatusReported(state=State.ACTIVE, observed_position=nth(n), status={"sizeGB": 10})
    time = BEGAN + timedelta(milliseconds=n)
    return NewEvent(
        ref=ref,
        uid=f"u{n // 2}",
        time=time,
        request=f"r{n}",
        previous=nth(n if n % 2 else 0),
        salt=SALT,
        actor=SYSTEM,
        event=event,
    )


async def _seed_rows(house: DevPlane, seeded: list[RecordedEvent]) -> None:
    url = house.postgres(embedded.OWNER)
    await _patient_tables(url)
    filled = statement.filled(fold({}, seeded, REGION))
    pool = await tables.open_pool(url)
    async with pool.acquire() as connection, connection.transaction():
        for part, rows in filled:
            await connection.copy_records_to_table(
                part.table, records=rows, columns=list(part.columns)
            )
        for projection in statement.PROJECTIONS:
            await connection.execute(
                "insert into checkpoints values ($1, 'SECA', $2)", projection.NAME, len(seeded)
            )
        await switch(connection, tables.READ_MODEL)
    await pool.execute("vacuum analyze")
    pool.terminate()


async def _patient_tables(url: str) -> None:
    for _ in range(200):
        try:
            return await tables.prepare(url)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
    raise TimeoutError("PostgreSQL does not start")
