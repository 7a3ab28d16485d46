"""Connections to what the house stands on, and the parts that are built on them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import asyncpg
import nats
from asyncpg import Pool
from nats.aio.client import Client

from secaplane.cli.config import BadConfig, Config
from secaplane.eventlog.connection_errors import LOST
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import Unanswered
from secaplane.eventlog.resource_cache import Folds
from secaplane.eventlog.snapshots import KeyValueSnapshots
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import NoReadModel, Reading, active, open_reading
from secaplane.sealing.sealer import Keyring, Sealer

T = TypeVar("T")
RETRY_S = 0.1
RETRY_S_MAX = 2.0
LOOK_EVERY_S = 1.0
TURN_S_MAX = 10.0
"""Nobody waits longer for a read model that is not announced; then it is looked for again."""
SOON_S_MAX = 10.0
log = logging.getLogger("secaplane.connect")


@dataclass(frozen=True)
class Ground:
    """What every process stands on, the simulated cloud excepted."""

    nats: Client
    log: JetStreamLog
    folds: Folds
    pool: Pool
    progress: Progress


@asynccontextmanager
async def grounded(
    config: Config, *, writes_log: bool = False, writes_tables: bool = False
) -> AsyncIterator[Ground]:
    """NATS, PostgreSQL, and what hangs on them; waits until both answer, and until there is a read
    model of this release's layout. `writes_tables` is for who repairs rows."""
    async with (
        logged(config, writes_log=writes_log) as (client, events, folds),
        turning(config, client, writes=writes_tables) as (reading, progress),
    ):
        yield Ground(client, events, folds, reading.pool, progress)


@asynccontextmanager
async def logged(
    config: Config, *, writes_log: bool = False
) -> AsyncIterator[tuple[Client, JetStreamLog, Folds]]:
    """NATS and the log. Who writes the log makes it; everybody else waits until it is there."""
    client = await connect_nats(config)
    try:
        events = JetStreamLog(client, stream=config.nats.stream, region=config.site.region)
        snapshots = KeyValueSnapshots(
            client,
            stream=config.nats.stream,
            region=config.site.region,
            writes=writes_log,
        )
        if writes_log:
            replicas = config.nats.replicas
            try:
                await patiently(lambda: events.prepare(replicas=replicas), Unanswered)
            except ValueError as error:
                raise BadConfig(f"nats.url: {error}") from error
            await patiently(lambda: snapshots.prepare(replicas=replicas), *_NATS_NOT_YET)
        else:
            await patiently(lambda: _there(events), Unanswered)
        yield client, events, Folds(events, snapshots)
    finally:
        await client.close()


@asynccontextmanager
async def turning(
    config: Config, client: Client, *, writes: bool = False
) -> AsyncIterator[tuple[Reading, Progress]]:
    """The active read model, and the announcements of how far it is; both turn to another one when
    that becomes active, and whoever holds them need not know."""
    reading = await connect_postgres(config, writes=writes)
    try:
        progress = Progress()
        await progress.listen(client, stream=config.nats.stream, read_model=reading.read_model)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_turn(reading, progress, client, config.nats.stream))
            yield reading, progress
            watching.cancel()
    finally:
        reading.pool.terminate()


async def _turn(reading: Reading, progress: Progress, client: Client, stream: str) -> None:
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        with suppress(*tables.AWAY, *LOST):
            found = await active(reading.pool)
            if found is not None and found != reading.read_model:
                turn = partial(reading.turn, found)
                async with asyncio.timeout(TURN_S_MAX):
                    await progress.turn(client, stream=stream, read_model=found, then=turn)
                log.info("reads another read model", extra={"read_model": found})


async def connect_nats(config: Config) -> Client:
    """A client that buffers nothing while it is disconnected, and never gives up reconnecting."""

    said = ""

    async def report(error: Exception) -> None:
        """Each sort of trouble once, however often it is tried again."""
        nonlocal said
        if said != (now := type(error).__name__):
            log.warning("nats", extra={"reason": f"{now}: {error}"})
        said = now

    async def connect() -> Client:
        return await nats.connect(
            config.nats.url.split(","),
            name="secaplane",
            pending_size=0,
            connect_timeout=2,
            reconnect_time_wait=0.2,
            max_reconnect_attempts=-1,
            ping_interval=5,
            max_outstanding_pings=2,
            allow_reconnect=True,
            error_cb=report,
        )

    return await patiently(connect, nats.errors.Error, OSError)


async def connect_postgres(config: Config, *, writes: bool = False) -> Reading:
    size = config.postgres.connections
    return await patiently(
        lambda: open_reading(config.postgres.url, size=size, writes=writes), *NOT_YET
    )


async def _there(events: JetStreamLog) -> None:
    if not await events.exists():
        raise Unanswered("the log has not been made yet")


_NATS_NOT_YET = (nats.errors.Error, OSError)
NOT_YET = (
    NoReadModel,
    OSError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.PostgresConnectionError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.InsufficientPrivilegeError,
)


@asynccontextmanager
async def soon(ground: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """For people, who want to hear that something is away rather than wait for it. What goes wrong
    among them comes out as itself, not as a group of one.

    Raises:
        Unanswered: NATS or PostgreSQL does not answer, or has nothing of ours.
    """
    try:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(SOON_S_MAX):
                    found = await stack.enter_async_context(ground)
            except TimeoutError as error:
                raise Unanswered("NATS or PostgreSQL is away, or nothing is there yet") from error
            yield found
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group
        raise


async def patiently(attempt: Callable[[], Awaitable[T]], *passing: type[Exception]) -> T:
    """Try again for as long as it fails in ways that pass; the process is not ready meanwhile."""
    delay = RETRY_S
    while True:
        try:
            return await attempt()
        except passing as error:
            log.info("waiting", extra={"reason": f"{type(error).__name__}: {error}"})
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, RETRY_S_MAX)


def now() -> datetime:
    """Milliseconds are as fine as SECA's modifications get."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def keyring(config: Config) -> Keyring:
    """Raises BadConfig where there is none, or none that can be used."""
    if not config.secrets.keyring:
        raise BadConfig("secrets.keyring names no file; `secaplane keyring FILE` makes one")
    try:
        return Keyring.read(Path(config.secrets.keyring))
    except (OSError, ValueError) as error:
        raise BadConfig(f"secrets.keyring: {error}") from error


def sealer(config: Config) -> Sealer:
    return Sealer(keyring(config))
