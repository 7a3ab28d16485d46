"""Time from start to ready of the processes, with a short log and with a long one.

The long log is written by a NATS server without fsync, and its rows by COPY from the projection's
own row functions; the measured processes use servers with the shipped configuration.
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
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.eventlog.subjects import subject
from secaplane.model.actor import SYSTEM
from secaplane.model.events import Created, RecordedEvent, StatusReported
from secaplane.model.shape import Ref, State
from secaplane.projector.folding import fold
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.rebuild import switch
from secaplane.projector.statement import GroupStatement
from secaplane.readmodel.schema import tables
from tests.bench.figures import Figure, figure
from tests.log.new_events import SALT
from tests.plane import CATALOGUE, OWN, TENANT, VOLUME, config, start_seconds
from tests.positions import nth

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
    """Times of restarts; NATS and PostgreSQL keep running."""
    took = []
    dev = DevPlane(config(folder), folder, 0, durable=True)
    async with Supervisor(folder / "logs") as servers:
        await servers.start(dev.nats_server())
        await servers.start(await dev.postgres_server())
        for _ in range(REPEATS + 1):
            async with Supervisor(folder / "logs") as own:
                took.append(await start_seconds(dev, own, OWN))
    return took[1:]


async def _seed(folder: Path, events: int) -> None:
    (folder / "catalogue.toml").write_text(CATALOGUE)
    dev = DevPlane(config(folder), folder, 0, durable=True)
    seeded = await _seed_log(dev, folder, events)
    async with Supervisor(folder / "logs") as servers:
        await servers.start(await dev.postgres_server())
        await _seed_rows(dev, seeded)


async def _seed_log(dev: DevPlane, folder: Path, events: int) -> list[RecordedEvent]:
    async with Supervisor(folder / "logs") as servers:
        await servers.start(_without_fsync(dev, folder))
        client = await _patient_client(dev.nats("everything"))
        await JetStreamLog(client, streams=Streams("SECA"), region=REGION).prepare()
        events_ = [_new_event(n) for n in range(events)]
        for first in range(0, events, IN_FLIGHT):
            await asyncio.gather(
                *(
                    client.request(subject(each.ref, REGION), encode(each, "SECA"), timeout=30)
                    for each in events_[first : first + IN_FLIGHT]
                )
            )
        await client.close()
    return [each.at(nth(n)) for n, each in enumerate(events_, start=1)]


def _without_fsync(dev: DevPlane, folder: Path) -> ChildProcess:
    """The shipped NATS server without fsync."""
    shipped = dev.nats_server()
    config = folder / "without-fsync.conf"
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


def _new_event(n: int) -> NewEvent:
    """Event number n: creations and the status reports after them, alternating."""
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


async def _seed_rows(dev: DevPlane, seeded: list[RecordedEvent]) -> None:
    url = dev.postgres(embedded.OWNER)
    for group in (RESOURCES, HISTORY):
        await _patient_tables(url, group)
        filled = GroupStatement(group.projections).filled(fold({}, seeded, REGION))
        pool = await tables.open_pool(url, schema=group.tables.first)
        async with pool.acquire() as connection, connection.transaction():
            for change, rows in filled:
                await connection.copy_records_to_table(
                    change.table, records=rows, columns=list(change.columns)
                )
            await connection.execute(
                "insert into checkpoints (stream, position) values ('SECA', $1)", len(seeded)
            )
            await switch(connection, group.tables, group.tables.first)
        await pool.execute("vacuum analyze")
        pool.terminate()


async def _patient_tables(url: str, group: ProjectionGroup) -> None:
    for _ in range(200):
        try:
            return await tables.prepare(url, group.tables)
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.05)
    raise TimeoutError("PostgreSQL does not start")
