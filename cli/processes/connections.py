"""Connections to NATS and PostgreSQL, and the parts of a process that are built on them."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple, TypeVar
from uuid import uuid4

import asyncpg
from asyncpg import Pool
from nats import errors
from nats.aio.client import Client

from secaplane.cli.config import Config
from secaplane.cli.processes.keys import event_seals, key_store, keyring, life_sealers, refuse_clear
from secaplane.cli.processes.tls import client_context
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.jetstream.connection import NatsConnection
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import KeyValueSnapshots
from secaplane.eventlog.streams import Streams
from secaplane.model.reasons import reason_of
from secaplane.readmodel.acknowledgements import Acknowledgements
from secaplane.readmodel.announcements import Announcements
from secaplane.readmodel.list_share import ListShare
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.readers import Readers
from secaplane.readmodel.schema import tables
from secaplane.readmodel.schema.active import (
    NoReadModel,
    PoolSizes,
    ReadModelPool,
    open_read_model_pool,
)
from secaplane.readmodel.schema.replica import (
    DatabaseState,
    PresentReplica,
    Replica,
    WrongReplica,
    create,
    state,
)
from secaplane.readmodel.schema.resources import RESOURCES
from secaplane.readmodel.streamed import StreamedProgress
from secaplane.sealing.keys.key_store import KeysUnavailable
from secaplane.sealing.life_sealers import LifeSealers

T = TypeVar("T")
RETRY_S = 0.1
RETRY_S_MAX = 2.0
CHECK_INTERVAL_S = 1.0
"""Interval between two reads of the active read model."""
SWITCH_S_MAX = 10.0
"""Timeout of the switch to a read model whose position is not announced; then it is read again."""
CLOSE_S_MAX = 2.0
"""Timeout of the end of a connection to NATS; the process ends anyway."""
CONNECT_S_MAX = 10.0
"""Timeout of the commands for operators; processes retry without end."""
log = logging.getLogger("secaplane.connections")


@dataclass(frozen=True)
class ProcessDependencies:
    """Used by every process but the simulated cloud."""

    nats: Client
    log: MonotonicLog[JetStreamLog]
    """On `jetstream`: for every reader."""
    jetstream: JetStreamLog
    cache: ResourceCache
    pool: Pool
    progress: Progress
    acknowledgements: Acknowledgements
    lists: ListShare
    sealers: LifeSealers | None
    """None without `secrets.keyring`: this process opens no secret."""
    replica: PresentReplica
    announcements: Announcements


@asynccontextmanager
async def process_dependencies(
    config: Config,
    *,
    writes_log: bool = False,
    writes_tables: bool = False,
    shares_syncs: bool = False,
) -> AsyncIterator[ProcessDependencies]:
    """Waits until NATS and PostgreSQL answer and a read model of this release's layout exists.

    `writes_tables`: connects to PostgreSQL with write access, to repair rows. `shares_syncs`:
    appends of different resources may be published together, while `log.share_syncs` runs.
    """
    async with (
        connected_log(config, writes_log=writes_log, shares_syncs=shares_syncs) as (
            client,
            events,
            cache,
        ),
        following_read_model(config, client, writes=writes_tables) as followed,
    ):
        reading, progress, replica, announcements = followed
        lists = ListShare(
            reading.lists,
            connections=config.postgres.list_connections,
            streaming=lambda: replica.streaming,
        )
        yield ProcessDependencies(
            nats=client,
            log=events,
            jetstream=events.inner,
            cache=cache,
            pool=reading.pool,
            progress=progress,
            acknowledgements=Acknowledgements(
                client, progress, Readers(replica), new_id=lambda: uuid4().hex
            ),
            lists=lists,
            sealers=life_sealers(config, client, now),
            replica=replica,
            announcements=announcements,
        )


@asynccontextmanager
async def connected_log(
    config: Config, *, writes_log: bool = False, shares_syncs: bool = False
) -> AsyncIterator[tuple[Client, MonotonicLog[JetStreamLog], ResourceCache]]:
    """NATS and the log. A process that writes the log creates it; every other waits for it."""
    client = await connect_nats(config)
    try:
        seals = event_seals(config, client, now)
        jetstream = JetStreamLog(
            client,
            streams=streams(config),
            region=config.site.region,
            shares_syncs=shares_syncs,
            seals=seals,
        )
        snapshots = KeyValueSnapshots(
            client,
            stream=config.nats.stream,
            region=config.site.region,
            writes=writes_log,
            seals=seals,
        )
        if writes_log:
            replicas = config.nats.replicas
            try:
                await retrying(
                    lambda: jetstream.prepare(replicas=replicas), LogUnavailable, awaited="the log"
                )
            except ValueError as error:
                raise BadConfig(f"nats.url: {error}") from error
            await retrying(
                lambda: snapshots.prepare(replicas=replicas), *_NATS_ERRORS, awaited="snapshots"
            )
            keys = key_store(config, client)
            await retrying(lambda: keys.prepare(replicas=replicas), KeysUnavailable, awaited="keys")
            await retrying(partial(refuse_clear, config, keys), KeysUnavailable, awaited="keys")
        else:
            await retrying(lambda: _exists(jetstream), LogUnavailable, awaited="the log")
        events = MonotonicLog(jetstream)
        yield client, events, ResourceCache(events, snapshots)
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX):
                await client.close()


class FollowedReadModel(NamedTuple):
    reading: ReadModelPool
    progress: Progress
    replica: PresentReplica
    announcements: Announcements


@asynccontextmanager
async def following_read_model(
    config: Config, client: Client, *, writes: bool = False
) -> AsyncIterator[FollowedReadModel]:
    """A pool on the active read model of the group `resources`, and its progress. Both switch when
    another read model becomes active; callers keep the same objects.

    Raises:
        BadConfig: the database holds another replica than the configured one.
    """
    progress = Progress()
    reading, replica = await connect_postgres(config, writes=writes, lost=progress.doubt)
    try:
        announcements = Announcements(client, progress, replica, streams=streams(config).names)
        await announcements.listen(reading.read_model)
        streamed = StreamedProgress(reading.pool, progress, replica)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_watch_database(config, reading, replica, announcements)),
                group.create_task(streamed.run()),
            ]
            yield FollowedReadModel(reading, progress, replica, announcements)
            for each in tasks:
                each.cancel()
    finally:
        reading.terminate()


async def _watch_database(
    config: Config, reading: ReadModelPool, replica: PresentReplica, announcements: Announcements
) -> None:
    """Follows what changes in the database: the active read model, its identity (it was created
    anew), and whether it is a streaming replica."""
    while True:
        await asyncio.sleep(CHECK_INTERVAL_S)
        with suppress(*tables.DATABASE_UNAVAILABLE, *CONNECTION_ERRORS, *READ_MODEL_ERRORS):
            found = await _state(config, reading)
            if found.replica != replica.identity:
                log.warning("the database was created anew", extra={"id": found.replica.id})
            replica.identity, replica.streaming = found.replica, found.streaming
            newest = found.read_model
            if newest is not None and newest != reading.read_model:
                async with asyncio.timeout(SWITCH_S_MAX):
                    await announcements.switch(newest, then=partial(reading.switch, newest))
                log.info("switched to another read model", extra={"read_model": newest})


async def _state(config: Config, reading: ReadModelPool) -> DatabaseState:
    try:
        return await state(reading.pool, reading.group, config.readmodel.replica)
    except WrongReplica as error:
        raise BadConfig(str(error)) from error


def streams(config: Config) -> Streams:
    return Streams(config.nats.stream, config.nats.global_stream)


async def connect_nats(config: Config) -> Client:
    """A client that buffers nothing while it is disconnected and reconnects without end.

    Raises:
        BadConfig: a file of `[tls]` cannot be used.
    """
    tls, last = client_context(config.tls), ""

    async def report(error: Exception) -> None:
        """Logs an error once, however often the client retries."""
        nonlocal last
        if last != (name := type(error).__name__):
            log.warning("NATS connection failed", extra={"reason": f"{name}: {error}"})
        last = name

    async def connect() -> Client:
        made = NatsConnection()
        await made.connect(
            config.nats.url.split(","),
            name="secaplane",
            pending_size=0,
            connect_timeout=2,
            reconnect_time_wait=0.2,  # seconds, slept as they are
            max_reconnect_attempts=-1,
            ping_interval=5,
            max_outstanding_pings=2,
            allow_reconnect=True,
            error_cb=report,
            tls=tls,
            # before anything is sent: a server without TLS never gets the password
            tls_handshake_first=tls is not None,
        )
        return made

    return await retrying(connect, *_NATS_ERRORS, awaited="NATS")


async def connect_postgres(
    config: Config, *, writes: bool = False, lost: Callable[[], object] = lambda: None
) -> tuple[ReadModelPool, PresentReplica]:
    """Raises BadConfig where the database holds another replica than the configured one."""
    sizes = PoolSizes(config.postgres.connections, config.postgres.list_connections)

    async def connect() -> tuple[ReadModelPool, PresentReplica]:
        reading = await open_read_model_pool(
            config.postgres.url, RESOURCES, sizes=sizes, writes=writes, lost=lost
        )
        try:
            found = await _state(config, reading)
        except BaseException:
            reading.terminate()
            raise
        return reading, PresentReplica(found.replica, found.streaming)

    return await retrying(connect, *READ_MODEL_ERRORS, awaited="a read model")


async def created_replica(config: Config) -> Replica:
    """The identity of the database, for a process that owns its tables.

    Raises:
        BadConfig: the database holds another replica than the configured one.
    """
    try:
        return await create(config.postgres.url, config.readmodel.replica)
    except WrongReplica as error:
        raise BadConfig(str(error)) from error


async def _exists(jetstream: JetStreamLog) -> None:
    if not await jetstream.exists():
        raise LogUnavailable("the log does not exist yet")


_NATS_ERRORS = (errors.Error, OSError)
READ_MODEL_ERRORS = (
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
    """Enters `process` within `CONNECT_S_MAX` seconds: for operators, who want an error instead of
    endless retries. A group of one exception is raised as that exception.

    Raises:
        LogUnavailable: NATS or PostgreSQL does not answer, or log or read model do not exist.
    """
    try:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(CONNECT_S_MAX):
                    entered = await stack.enter_async_context(process)
            except TimeoutError as error:
                raise LogUnavailable(
                    "NATS or PostgreSQL is unavailable, or the log or a read model does not exist"
                ) from error
            yield entered
    except BaseExceptionGroup as group:
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from group
        raise


async def retrying(
    attempt: Callable[[], Awaitable[T]], *temporary: type[Exception], awaited: str
) -> T:
    """Retries with backoff while the attempt raises one of the `temporary` exceptions. `awaited`
    names in the log what is not available yet; the process is not ready meanwhile."""
    delay = RETRY_S
    while True:
        try:
            return await attempt()
        except temporary as error:
            reason = reason_of(error)
            log.info("not available yet", extra={"awaited": awaited, "reason": reason})
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, RETRY_S_MAX)


def now() -> datetime:
    """The wall clock in UTC, cut to milliseconds, the resolution of SECA's timestamps."""
    time = datetime.now(UTC)
    return time.replace(microsecond=time.microsecond // 1000 * 1000)


def required_sealers(process: ProcessDependencies) -> LifeSealers:
    """Raises BadConfig where this process has no keyring of secrets."""
    if process.sealers is None:
        raise BadConfig("secrets.keyring is not set; `secaplane keyring FILE` creates a keyring")
    return process.sealers


def page_keys(config: Config) -> Sequence[bytes]:
    """Keys of page tokens: the first one signs, all of them verify. They open no secret."""
    ring = keyring("secrets.page_keyring", config.secrets.page_keyring)
    order = [ring.current, *(name for name in ring.keys if name != ring.current)]
    return [base64.b64decode(ring.keys[name]) for name in order]


def pseudonym_key(config: Config) -> bytes:
    """The key of pseudonyms: the first one in the file of page keys, which stays when another one
    becomes the current one."""
    ring = keyring("secrets.page_keyring", config.secrets.page_keyring)
    return base64.b64decode(next(iter(ring.keys.values())))
