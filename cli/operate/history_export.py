"""`secaplane audit export`: the logs of the notary, and the events of the streams beside them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from itertools import count
from pathlib import Path

from secaplane.audit.notary.export_folder import ExportFolder, bundles, events_path, joined_events
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, WIDTH, TilesDiffer, tiles_of
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connect_nats, streams, with_deadline
from secaplane.cli.processes.notary import followed_streams
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole
from secaplane.model.position import BEGINNING


async def export(config: Config, folder: Path) -> int:
    """Write the history of every stream, up to its newest checkpoint, into a new folder. Nothing is
    verified here: that is what `verify` is for.

    Raises:
        BadConfig: the folder exists and is not empty, or there is no log.
        LogUnavailable: NATS does not answer.
    """
    if not config.notary.folder:
        raise BadConfig("notary.folder is not set")
    await asyncio.to_thread(refuse_full, folder)
    async with with_deadline(_connected(config)) as log:
        for stream in followed_streams(config):
            size = await asyncio.to_thread(_copy, config, stream, folder / stream)
            await _write_events(log, stream, size, ExportFolder(folder / stream))
            print(f"{stream}: {size} events")
    return 0


def refuse_full(folder: Path) -> None:
    """Raises BadConfig where the folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise BadConfig(f"{folder} is not empty")


@asynccontextmanager
async def _connected(config: Config) -> AsyncIterator[JetStreamLog]:
    client = await connect_nats(config)
    try:
        yield JetStreamLog(client, streams=streams(config), region=config.site.region)
    finally:
        await client.close()


def _copy(config: Config, stream: str, folder: Path) -> int:
    """Copy checkpoint, tiles and entries; the size of the tree."""
    source, target = TileFolder(Path(config.notary.folder), stream), ExportFolder(folder)
    checkpoint = source.newest_checkpoint()
    if checkpoint is None:
        raise BadConfig(f"notary.folder: there is no log of {stream}")
    try:
        size = parse_checkpoint(checkpoint).head.size
        target.write(CHECKPOINT_PATH, checkpoint)
        for name in tiles_of(size):
            target.write(name.path, source.read(name))
    except (WrongNote, TilesDiffer) as error:
        raise BadConfig(f"notary.folder: the log of {stream}: {error}") from error
    return size


async def _write_events(log: JetStreamLog, stream: str, size: int, target: ExportFolder) -> None:
    """An event that the stream does not have is written as a lost one."""
    bundle, number = list[StoredEvent | None](), count()
    async with aclosing(_events(log, stream, size)) as events:
        async for each in events:
            bundle.append(each)
            if len(bundle) == WIDTH:
                target.write(events_path(next(number)), joined_events(bundle))
                bundle.clear()
    if bundle:
        target.write(events_path(next(number)), joined_events(bundle))
    assert next(number) == bundles(size)


async def _events(
    log: JetStreamLog, stream: str, size: int
) -> AsyncGenerator[StoredEvent | None, None]:
    """Every event up to a sequence, in order."""
    if not size:
        return
    end = await log.given_up_to(stream)
    if end.sequence < size:
        raise LogUnavailable(f"the stream {stream} ends at {end}, its log at {size}")
    at = 0
    async with aclosing(log.follow_raw(stream, after=BEGINNING)) as batches:
        async for batch in batches:
            if not batch and await log.positions.lacks(Hole(stream, at + 1, size)):
                for _ in range(at, size):
                    yield None
                return
            for each in batch:
                while at + 1 < min(each.position.sequence, size + 1):
                    at += 1
                    yield None
                if at == size:
                    return
                at += 1
                yield StoredEvent(each.subject, each.data)
                if at == size:
                    return
