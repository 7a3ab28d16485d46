"""`secaplane audit export`: the logs of the notary, and the events of the streams beside them."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from pathlib import Path

from nats.aio.client import Client

from secaplane.audit.heads.freshness import POLL_S, SIGNED_S_MAX, recorded_heads
from secaplane.audit.heads.recorded import HeadsSeen
from secaplane.audit.notary.export_folder import ExportFolder, bundles, events_path, joined_events
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.stream import stream_name
from secaplane.audit.timestamps.folder import CHECKPOINT, TOKEN, stamp_path, stamped_sizes
from secaplane.audit.timestamps.folder import FOLDER as TIMESTAMPS
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, WIDTH, TilesDiffer, tiles_of
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import connect_nats, streams, with_deadline
from secaplane.cli.processes.notary import followed_streams
from secaplane.cli.processes.notary_files import log_files
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.losses.holes import Hole
from secaplane.model.position import BEGINNING

_NO_HEADS = (
    "no heads were recorded for this export: the notary, or a process that accepts writes, does not"
    " answer"
)


async def export(config: Config, folder: Path) -> int:
    """Write the history of every stream, up to its newest checkpoint, into a new folder: heads are
    recorded first. Nothing is verified here: that is what `verify` is for.

    The audit stream comes first, the others when their logs hold what its entries about heads are
    about, so that a verifier can compute the heads again.

    Raises:
        BadConfig: the folder exists and is not empty, or there is no log.
        LogUnavailable: NATS does not answer.
    """
    notary = log_files(config)
    await asyncio.to_thread(refuse_full, folder)
    audit, sizes, about = stream_name(config.nats.stream), dict[str, int](), HeadsSeen()
    async with with_deadline(_connected(config)) as client:
        log = JetStreamLog(client, streams=streams(config), region=config.site.region)
        recorded = await recorded_heads(client)
        if not recorded:
            print(_NO_HEADS, file=sys.stderr)
        for stream in sorted(followed_streams(config), key=lambda each: each != audit):
            least = recorded if stream == audit else about.sizes.get(stream, 0)
            checkpoint = await _signed(TileFolder(notary, stream), stream, least)
            size = await asyncio.to_thread(
                _copy, TileFolder(notary, stream), stream, checkpoint, folder / stream
            )
            taken = about.take if stream == audit else None
            await _write_events(log, stream, size, ExportFolder(folder / stream), taken)
            sizes[stream] = size
    for stream in followed_streams(config):
        print(f"{stream}: {sizes[stream]} events")
    return 0


async def _signed(source: TileFolder, stream: str, least: int) -> bytes:
    """The newest checkpoint of a log. One of `least` events is waited for, for a bounded time: a
    quorum of witnesses may be slow."""
    clock = asyncio.get_running_loop().time
    until = clock() + SIGNED_S_MAX
    while True:
        checkpoint = await asyncio.to_thread(source.newest_checkpoint)
        if checkpoint is None:
            raise BadConfig(f"the notary's files: there is no log of {stream}")
        try:
            size = parse_checkpoint(checkpoint).head.size
        except WrongNote as error:
            raise BadConfig(f"the notary's files: the log of {stream}: {error}") from error
        if size >= least:
            return checkpoint
        if clock() > until:
            print(f"{stream}: the checkpoint is of {size} events, not of {least}", file=sys.stderr)
            return checkpoint
        await asyncio.sleep(POLL_S)


def refuse_full(folder: Path) -> None:
    """Raises BadConfig where the folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise BadConfig(f"{folder} is not empty")


@asynccontextmanager
async def _connected(config: Config) -> AsyncIterator[Client]:
    client = await connect_nats(config)
    try:
        yield client
    finally:
        await client.close()


def _copy(source: TileFolder, stream: str, checkpoint: bytes, folder: Path) -> int:
    """Copy checkpoint, tiles, entries and time stamps; the size of the tree."""
    target = ExportFolder(folder)
    size = parse_checkpoint(checkpoint).head.size
    try:
        target.write(CHECKPOINT_PATH, checkpoint)
        for name in tiles_of(size):
            target.write(name.path, source.read(name))
        for at in stamped_sizes(source.names(TIMESTAMPS)):
            parts = [stamp_path(at, kind) for kind in (CHECKPOINT, TOKEN)]
            files = {path: source.public(path) for path in parts if at <= size}
            if files and None not in files.values():
                for path, data in files.items():
                    target.write(path, data or b"")
    except TilesDiffer as error:
        raise BadConfig(f"the notary's files: the log of {stream}: {error}") from error
    return size


async def _write_events(
    log: JetStreamLog,
    stream: str,
    size: int,
    target: ExportFolder,
    taken: Callable[[StoredEvent], object] | None,
) -> None:
    """An event that the stream does not have is written as a lost one. `taken`: is called with each
    that it has."""
    bundle, number = list[StoredEvent | None](), count()
    async with aclosing(_events(log, stream, size)) as events:
        async for each in events:
            bundle.append(each)
            if taken is not None and each is not None:
                taken(each)
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
