"""`secaplane audit export --tenant`: the history of one tenant, from the notary's folder and the
streams."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from nats.aio.client import Client

from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.stream import stream_name
from secaplane.audit.tenant_export.folder import split_records
from secaplane.audit.tenant_export.source import from_files
from secaplane.audit.tenant_export.writing import exported_files
from secaplane.cli.config import Config
from secaplane.cli.operate.history_export import refuse_full
from secaplane.cli.processes.connections import connect_nats, streams, with_deadline
from secaplane.cli.processes.exports import present_life
from secaplane.cli.processes.notary_files import log_files
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.event_seals import EnvelopesAlone
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.model.position import parse_all


async def export(config: Config, folder: Path, tenant: str, seen: str) -> int:
    """Write the history of the present life of a tenant into a new folder, up to heads that are
    recorded now. Nothing is verified here. `seen`: sizes of checkpoints, as positions.

    Raises:
        BadConfig: the folder exists and is not empty, or there is no such tenant or log.
        LogUnavailable: NATS does not answer, or no heads are signed.
    """
    notary = log_files(config)
    sizes = dict[str, list[int]]()
    try:
        for each in parse_all(seen) if seen else ():
            sizes.setdefault(each.stream, []).append(each.sequence)
    except ValueError as error:
        raise BadConfig(f"--seen: {error}") from error
    await asyncio.to_thread(refuse_full, folder)
    async with with_deadline(_connected(config)) as client:
        life = await present_life(_envelopes(config, client), tenant)
        if not life:
            raise BadConfig(f"there is no tenant {tenant}")
        audit = stream_name(config.nats.stream)
        source = from_files(client, tenant, audit, notary)
        offer = await source.fresh_heads(life)
        target, counted = ExportFolder(folder), Counter[str]()
        async with aclosing(exported_files(life, offer, audit, source, sizes)) as files:
            async for path, data in files:
                await asyncio.to_thread(target.write, path, data)
                stream, _, rest = path.partition("/")
                if rest.startswith("events/"):
                    counted[stream] += len(split_records(data))
        counted[audit] -= 1  # the entry about heads
    for head in offer.heads:
        of = "" if counted[head.stream] == head.number else f" of {head.number}"
        print(f"{head.stream}: {counted[head.stream]}{of} events of {tenant}")
    return 0


@asynccontextmanager
async def _connected(config: Config) -> AsyncIterator[Client]:
    client = await connect_nats(config)
    try:
        yield client
    finally:
        await client.close()


def _envelopes(config: Config, client: Client) -> JetStreamLog:
    """The log without keys: an export is made of stored bytes."""
    region, seals = config.site.region, EnvelopesAlone()
    return JetStreamLog(client, streams=streams(config), region=region, seals=seals)
