"""Asks the log about what the cloud holds. The cloud is listed first: whatever it holds then was
recorded before it was made."""

from collections.abc import Sequence
from contextlib import aclosing
from typing import NamedTuple

from asyncpg import Pool

from secaplane.command.dependencies import CommandDependencies
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.decoding import CANNOT_APPLY
from secaplane.model.errors import Damaged
from secaplane.model.events import RecordedEvent
from secaplane.model.evolve import evolve
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.plugin import InventoryItem
from secaplane.readmodel.questions.settled import living_uids
from secaplane.reconcilers.drift.inventory import (
    Presence,
    address,
    presence,
    remains,
    without_secrets,
)


class JudgedItem(NamedTuple):
    item: InventoryItem
    presence: Presence
    resource: Resource | None = None
    """Of a life that is gone: what the log knows of it."""


async def judged(
    commands: CommandDependencies, pool: Pool, page: Sequence[InventoryItem]
) -> list[JudgedItem]:
    """The items of a page that are not living. Rows tell most of the living; the log is asked about
    the others alone.

    Raises:
        LogUnavailable; whatever the database raises.
    """
    refs = [ref for item in page if (ref := address(item)) is not None]
    uids = await living_uids(pool, refs)
    others = []
    for item in page:
        ref = address(item)
        if ref is None:
            others.append(JudgedItem(item, Presence.UNKNOWN))
        elif uids.get(ref) != item.uid:
            others.append(await _asked(commands, ref, item))
    return [each for each in others if each.presence is not Presence.LIVING]


async def _asked(commands: CommandDependencies, ref: Ref, item: InventoryItem) -> JudgedItem:
    try:
        latest = await commands.cache.current(ref)
    except (Undecodable, Damaged):  # what cannot be read may be this life: it is left
        return JudgedItem(item, Presence.UNKNOWN)
    if latest is None or latest.uid == item.uid:
        known = without_secrets(latest) if latest is not None else None
        return JudgedItem(item, presence(item.uid, latest), known)
    life = await _life(commands, ref, item.uid, latest)
    last = life.position if life is not None else BEGINNING
    return JudgedItem(item, presence(item.uid, latest, last), life)


async def _life(
    commands: CommandDependencies, ref: Ref, uid: str, latest: Resource
) -> Resource | None:
    """A former life, as far as its events can be read; None where no event is its own."""
    life: Resource | None = None
    async with aclosing(
        commands.log.read_batches(ref, after=BEGINNING, up_to=latest.position)
    ) as batches:
        async for batch in batches:
            for each in batch:
                if isinstance(each, RecordedEvent) and each.uid == uid:
                    life = _after(life, each)
    return without_secrets(life) if life is not None else None


def _after(life: Resource | None, event: RecordedEvent) -> Resource:
    try:
        return evolve(life, event)
    except CANNOT_APPLY:
        return life or remains(event.ref, event)
