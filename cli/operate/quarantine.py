"""`secaplane retry` and `secaplane quarantine`: resources with an event that cannot be decoded or
applied."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncpg import Pool

from secaplane.cli.config import Config
from secaplane.cli.operate.submitting import submitted
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.cli.settings import BadConfig
from secaplane.command.rules.commands import Close
from secaplane.kinds import valid_ref
from secaplane.model.errors import Refusal
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref
from secaplane.projector.groups import groups
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.retry import retry
from secaplane.readmodel import questions
from secaplane.readmodel.questions.positions import newest_row
from secaplane.readmodel.schema.active import find
from secaplane.readmodel.schema.tables import open_pool


async def retry_quarantine(config: Config) -> int:
    """Prints the resources that stay in quarantine in any projection group, with reasons. Exit
    status 0 if there are none.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    remaining = dict[Ref, str]()
    async with with_deadline(process_dependencies(config)) as process:
        for group in _groups_of_events():
            async with _opened(config, group, writes=True) as pool:
                remaining |= await retry(pool, process.log, group, region=config.site.region)
    for ref, reason in remaining.items():
        print(f"{ref.kind} {ref.path}: {reason}")
    return 1 if remaining else 0


async def print_quarantine(config: Config) -> int:
    """Prints the resources in quarantine, and those that were closed and that the cloud may still
    hold. Exit status 0.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    async with with_deadline(process_dependencies(config)) as process:
        for group in _groups_of_events():
            async with _opened(config, group) as pool:
                for entry in await questions.quarantine_entries(pool):
                    address = f"{entry.ref.kind} {entry.ref.path}"
                    print(f"quarantine ({group.name}) {address} {entry.position}: {entry.reason}")
        for each in await questions.orphans(process.pool):
            address, closed = f"{each.ref.kind} {each.ref.path}", each.closed_at.isoformat()
            print(f"closed {address} {closed}: may be in the cloud, uid {each.uid or 'unknown'}")
    return 0


def _groups_of_events() -> list[ProjectionGroup]:
    """Entries of the audit stream are never quarantined."""
    return [group for group in groups() if not group.of_entries]


async def close(config: Config, ref: Ref, reason: str) -> int:
    """Close the history of a resource that cannot be read in the log, or that is in the quarantine
    of the rows that GET reads; it is gone from then on. Exit status 1 if neither holds, or the
    resource is in use or contains others.

    Raises:
        BadConfig: no resource can have that address.
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    if valid_ref(ref.kind, ref.path) is None:
        raise BadConfig(f"{ref.kind} {ref.path} is not the address of a resource")
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        entries = {each.ref: each for each in await questions.quarantine_entries(process.pool)}
        since = entries[ref].position if ref in entries else BEGINNING
        row = await newest_row(process.pool, ref)
        history = await process.log.inner.history(ref)  # as far as the leader still has it
        last = history[-1].position if history else BEGINNING
        if row is not None and row.position > last:
            since = row.position  # the log has lost the last event
        command = Close(since=since, version=row.version if row else 0, reason=reason)
        try:
            await submitted(process, config, ref, command, by="quarantine close")
        except Refusal as refusal:
            for line in (refusal.detail, *refusal.meta.get("blockers", ())):
                print(f"secaplane: {line}", file=sys.stderr)
            return 1
    print(f"{ref.kind} {ref.path} is closed; the cloud may still hold it")
    return 0


@asynccontextmanager
async def _opened(
    config: Config, group: ProjectionGroup, *, writes: bool = False
) -> AsyncIterator[Pool]:
    read_model = await find(config.postgres.url, group.tables)
    pool = await open_pool(config.postgres.url, schema=read_model, writes=writes)
    try:
        yield pool
    finally:
        pool.terminate()
