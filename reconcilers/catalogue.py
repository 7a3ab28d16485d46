"""Publishes the catalogue of the cloud: regions, SKUs and images become resources of the shared
tenant, one event for each change."""

import logging
from collections.abc import Awaitable, Container, Sequence
from uuid import uuid4

from asyncpg import Pool
from msgspec import UNSET

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.eventlog.codec import Undecodable
from secaplane.kinds import KINDS, SHARED_TENANT, log_ref
from secaplane.model.actor import SYSTEM
from secaplane.model.errors import Conflict, Damaged
from secaplane.model.kind import Backing
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.catalogue import validated_spec
from secaplane.plugins.plugin import CatalogueEntry, Plugin
from secaplane.readmodel import questions

READ_ONLY = tuple(kind.name for kind in KINDS.values() if kind.backing is Backing.CATALOGUE)
SHARED = tuple(kind.name for kind in KINDS.values() if kind.exposure.to_all_tenants)
"""Writable kinds that a cloud may offer to every tenant, too: images."""
SHARED_MAX = 10_000
TENANT = KINDS["tenant"].ref({}, SHARED_TENANT)
log = logging.getLogger("secaplane.catalogue")


class CatalogueUnavailable(Exception):
    """The plugin did not answer with a catalogue."""


async def ask(plugin: Plugin) -> Sequence[CatalogueEntry]:
    """Raises CatalogueUnavailable for whatever the plugin raises."""
    try:
        return await plugin.catalogue()
    except Exception as error:  # in its own words: a catalogue holds nothing of a tenant
        raise CatalogueUnavailable(f"{type(error).__name__}: {error}") from error


async def publish(
    dependencies: CommandDependencies,
    pool: Pool,
    entries: Sequence[CatalogueEntry],
    *,
    base_url: str,
) -> None:
    """Record entries that are new or changed, and delete resources that are no longer offered.
    Shared resources that an operator created are not touched.

    Raises:
        ValueError: an entry does not match its kind; then nothing is published.
    """
    specs = [validated_spec(entry, base_url=base_url) for entry in entries]
    offered = {_ref(entry): entry for entry in entries}
    if any(entry.kind in SHARED for entry in entries):
        await _unless_damaged(TENANT, _ensure_tenant(dependencies))
    for entry, spec in zip(entries, specs, strict=True):
        put = Put(spec=spec, labels=entry.labels or UNSET)
        await _unless_damaged(_ref(entry), _publish_entry(dependencies, _ref(entry), put))
    for ref in await _candidates(pool, offered):
        await _unless_damaged(ref, _withdraw(dependencies, ref))


async def _unless_damaged(ref: Ref, change: Awaitable[None]) -> None:
    """One entry whose history cannot be read must not stop the others."""
    try:
        await change
    except (Undecodable, Damaged) as error:
        where = {"ref": ref.path, "reason": str(error)}
        log.error("catalogue entry skipped: its history is damaged", extra=where)


async def _publish_entry(dependencies: CommandDependencies, ref: Ref, put: Put) -> None:
    current = await dependencies.cache.current(ref)
    if current is not None and not current.terminating:
        same = (current.spec, current.labels) == (put.spec, put.labels)
        if same or not await _published(dependencies, current):
            return
    await _command(dependencies, ref, put)


async def _candidates(pool: Pool, offered: Container[Ref]) -> list[Ref]:
    """The resources that the catalogue may have created, and that are not offered."""
    living = await questions.living_of(pool, READ_ONLY, include_terminating=False)
    surplus = [ref for ref in living if ref not in offered]
    shared = await questions.below(
        pool, SHARED, TENANT.path, include_terminating=False, limit=SHARED_MAX
    )
    return surplus + [ref for ref in shared if ref not in offered]


async def _published(dependencies: CommandDependencies, current: Resource) -> bool:
    """True where the catalogue created the resource."""
    if current.ref.kind in READ_ONLY:
        return True
    created = await dependencies.log.read(
        current.ref, after=current.life.moved(-1), up_to=current.life
    )
    return created[0].actor == SYSTEM


async def _ensure_tenant(dependencies: CommandDependencies) -> None:
    """Shared resources of writable kinds need their tenant. Its administrator is the system; an
    operator may add role assignments."""
    current = await dependencies.cache.current(TENANT)
    if current is None or current.gone:
        await _command(dependencies, TENANT, Put(spec={"administrators": [SYSTEM.sub]}))


def _ref(entry: CatalogueEntry) -> Ref:
    return log_ref(KINDS[entry.kind].ref({"tenant": SHARED_TENANT}, entry.name))


async def _withdraw(dependencies: CommandDependencies, ref: Ref) -> None:
    """Delete a resource that is no longer offered. A shared image that is still referred to stays;
    the next publication tries again."""
    current = await dependencies.cache.current(ref)
    if current is None or current.terminating or not await _published(dependencies, current):
        return
    try:
        await _command(dependencies, ref, Delete())
    except Conflict as refusal:
        log.warning(
            "no longer offered, still in use", extra={"ref": ref.path, "reason": str(refusal)}
        )


async def _command(dependencies: CommandDependencies, ref: Ref, command: Command) -> None:
    await handle(dependencies, ref, command, actor=SYSTEM, request=f"catalogue-{uuid4().hex}")
