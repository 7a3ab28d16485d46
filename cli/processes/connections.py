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
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import KeyValueSnapshots
from secaplane.eventlog.streams import Streams
from secaplane.readmodel.announcements import Announcements
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import (
    NoReadModel,
    ReadModelPool,
    active,
    open_read_model_pool,
)
from secaplane.readmodel.schema.resources import RESOURCES
from secaplane.sealing.sealer import Keyring, Sealer

T = TypeVar("T")
RETRY_S = 0.1
RETRY_S_MAX = 2.0
CHECK_EVERY_S = 1.0
SWITCH_S_MAX = 10.0
"""Seconds to wait for the announcements of another read model; then the active one is looked up
again."""
SOON_S_MAX = 10.0
log = logging.getLogger("secaplane.connect")


@dataclass(frozen=True)
class ProcessDependencies:
    """What every process stands on, the simulated cloud excepted."""

    nats: Client
    log: JetStreamLog
    cache: ResourceCache
    pool: Pool
    progress: Progress


@asynccontextmanager
async def process_dependencies(
    config: Config, *, writes_log: bool = False, writes_tables: bool = False
) -> AsyncIterator[ProcessDependencies]:
    """NATS, PostgreSQL, and what is built on them; waits until both answer, and until there is a
    read model of this release's layout. `writes_tables` is for subcommands that repair rows."""
    async with (
        connected_log(config, writes_log=writes_log) as (client, events, cache),
        following_read_model(config, client, writes=writes_tables) as (reading, progress),
    ):
        yield ProcessDependencies(client, events, cache, reading.pool, progress)


@asynccontextmanager
async def connected_log(
    config: Config, *, writes_log: bool = False
) -> AsyncIterator[tuple[Client, JetStreamLog, ResourceCache]]:
    """NATS and the log. Who writes the log makes it; everybody else waits until it is there."""
    client = await connect_nats(config)
    try:
        events = JetStreamLog(client, streams=streams(config), region=config.site.region)
        snapshots = KeyValueSnapshots(
            client,
            stream=config.nats.stream,
            region=config.site.region,
            writes=writes_log,
        )
        if writes_log:
            replicas = config.nats.replicas
            try:
                await retrying(lambda: events.prepare(replicas=replicas), LogUnavailable)
            except ValueError as error:
                raise BadConfig(f"nats.url: {error}") from error
            await retrying(lambda: snapshots.prepare(replicas=replicas), *_NATS_NOT_YET)
        else:
            await retrying(lambda: _there(events), LogUnavailable)
        yield client, events, ResourceCache(events, snapshots)
    finally:
        await client.close()


@asynccontextmanager
async def following_read_model(
    config: Config, client: Client, *, writes: bool = False
) -> AsyncIterator[tuple[ReadModelPool, Progress]]:
    """The active read model of the group `resources`, and its progress. Both switch when another
    one becomes active; the code that uses them need not know."""
    reading = await connect_postgres(config, writes=writes)
    try:
        progress = Progress()
        announcements = Announcements(client, progress, streams=streams(config).names)
        await announcements.listen(reading.read_model)
        async with asyncio.TaskGroup() as group:
            switching = group.create_task(_switch(reading, announcements))
            yield reading, progress
            switching.cancel()
    finally:
        reading.pool.terminate()


async def _switch(reading: ReadModelPool, announcements: Announcements) -> None:
    while True:
        await asyncio.sleep(CHECK_EVERY_S)
        with suppress(*tables.DATABASE_UNAVAILABLE, *CONNECTION_ERRORS):
            found = await active(reading.pool, reading.group)
            if found is not None and found != reading.read_model:
                async with asyncio.timeout(SWITCH_S_MAX):
                    await announcements.switch(found, then=partial(reading.switch, found))
                log.info("switched to another read model", extra={"read_model": found})


def streams(config: Config) -> Streams:
    return Streams(config.nats.stream, config.nats.global_stream)


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

    return await retrying(connect, nats.errors.Error, OSError)


async def connect_postgres(config: Config, *, writes: bool = False) -> ReadModelPool:
    size = config.postgres.connections
    return await retrying(
        lambda: open_read_model_pool(config.postgres.url, RESOURCES, size=size, writes=writes),
        *NOT_YET,
    )


async def _there(events: JetStreamLog) -> None:
    if not await events.exists():
        raise LogUnavailable("the log has not been made yet")


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
async def with_deadline(process: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    """For people, who want to hear that something is away rather than wait for it. What goes wrong
    among them comes out as itself, not as a group of one.

    Raises:
        Unanswered: NATS or PostgreSQL does not answer, or has nothing of ours.
    """
    try:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(SOON_S_MAX):
                    found = await stack.enter_async_context(process)
            except TimeoutError as error:
                raise LogUnavailable(
                    "NATS or PostgreSQL is away, or nothing is there yet"
                ) from error
            yield found
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group
        raise


async def retrying(attempt: Callable[[], Awaitable[T]], *passing: type[Exception]) -> T:
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
