"""The heads of all tenants in the audit stream: the notary computes them, a process that accepts
writes appends them, and the notary proves each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from secaplane.audit.entries import HEADS_SUBJECT, decode
from secaplane.audit.heads import link
from secaplane.audit.heads.offer import OfferedHeads, OfferRequest, TileRequest
from secaplane.audit.heads.tree import head_text, life_hash
from secaplane.audit.heads.unavailable import NotaryUnavailable
from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.notary.leaves import CommitmentChain, facts_of, leaf_from_receipt
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.tiles import ENTRIES, WIDTH, TileName
from secaplane.cli.processes.heads_publication import HeadsPublication
from secaplane.model.position import BEGINNING
from tests.flows.crashing import until
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.log.new_events import NOON
from tests.servers import STREAM


@pytest.fixture
async def notarized(tmp_path: Path) -> AsyncIterator[NotaryScene]:
    async with notary_scene(tmp_path) as made:
        yield made


def publication(scene: NotaryScene) -> HeadsPublication:
    """As in a process that accepts writes."""
    return HeadsPublication(scene.client, scene.audit, timedelta(hours=1), lambda: NOON)


async def test_heads_are_recorded_in_time_and_before_an_export_and_proved(
    notarized: NotaryScene,
) -> None:
    scene = notarized
    await scene.append(5)
    with pytest.raises(NotaryUnavailable, match="is the notary running"):
        await publication(scene).publish()
    with ended(scene.start()):
        await scene.signed(STREAM, 5)
        async with asyncio.TaskGroup() as group:
            both = [group.create_task(publication(scene).run()) for _ in range(2)]
            first = await recorded(scene)
            await scene.append(3)
            sequence = int(await link.ask(scene.client, link.PUBLISH))
            await a_whole_export_records_heads_first(scene)
            for each in both:
                each.cancel()
        assert sequence > first.entry.sequence
        await the_newest_heads_are_proved(scene, sequence)
    with ended(scene.start()):
        await the_newest_heads_are_proved(scene, sequence)  # also after a restart


async def a_whole_export_records_heads_first(scene: NotaryScene) -> None:
    """Heads that are about every event before the export, and logs that hold these events."""
    await scene.append(2)
    folder = scene.folder / "export"
    done = await asyncio.to_thread(scene.secaplane, "audit", "export", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    events = ExportFolder(folder / AUDIT).events(0)
    newest = [each for each in events if each and each.subject == HEADS_SUBJECT][-1]
    heads = decode(newest.data).heads
    assert heads
    assert heads.streams[STREAM] == scene.last.sequence
    for stream, size in heads.streams.items():
        checkpoint = ExportFolder(folder / stream).checkpoint()
        assert parse_checkpoint(checkpoint).head.size >= size


async def recorded(scene: NotaryScene, sequence: int = 0) -> OfferedHeads:
    """The heads that the notary offers, when there are some of an entry, or of a later one."""
    asked, offers = msgspec.json.encode(OfferRequest(await life(scene))), list[OfferedHeads]()

    async def offered() -> bool:
        with suppress(NotaryUnavailable):
            answer = await link.ask(scene.client, link.PROOFS, asked)
            offers.append(msgspec.json.decode(answer, type=OfferedHeads))
        return bool(offers) and offers[-1].entry.sequence >= sequence

    await until(offered, "the notary offers heads")
    return offers[-1]


async def life(scene: NotaryScene) -> str:
    async for batch in scene.log.follow_raw(STREAM, after=BEGINNING):
        for each in batch:
            return facts_of(each.data).life
    raise AssertionError("no event")


async def the_newest_heads_are_proved(scene: NotaryScene, sequence: int) -> None:
    """Computed here from the events: their head is in the tree whose root the entry has, and the
    entry is in the log of the audit stream."""
    await scene.signed(AUDIT, sequence)
    uid, chain, salt = await life(scene), CommitmentChain(STREAM), b""
    async for batch in scene.log.follow_raw(STREAM, after=BEGINNING):
        for event in batch:
            chain.commit(event.position.sequence, event.subject, event.data)
            salt = salt or facts_of(event.data).salt
        if uid in chain.heads and chain.heads[uid].number == scene.last.sequence:
            break
    offer = await recorded(scene, sequence)
    facts = offer.entry.facts
    assert decode(offer.entry.data).heads == facts
    assert facts.streams[STREAM] == scene.last.sequence
    events, _ = offer.heads  # one in each stream
    text = head_text(life_hash(uid, salt), STREAM, scene.last.sequence, chain.heads[uid].commitment)
    offer.proof(events).verify(text, facts.root)
    await the_entry_is_in_the_log(scene, offer)


async def the_entry_is_in_the_log(scene: NotaryScene, offer: OfferedHeads) -> None:
    entry = offer.entry
    extra = entry.number.to_bytes(8, "big") + entry.previous
    leaf = leaf_from_receipt(AUDIT, entry.sequence, HEADS_SUBJECT, entry.data, extra).written
    size = parse_checkpoint(offer.checkpoints[AUDIT]).head.size
    path = TileName(ENTRIES, 0, min(WIDTH, size)).path
    asked = msgspec.json.encode(TileRequest(AUDIT, path))
    assert leaf in await link.ask(scene.client, link.TILE, asked)
    outside = msgspec.json.encode(TileRequest("../private", "tile/0/000"))
    with pytest.raises(NotaryUnavailable):
        await link.ask(scene.client, link.TILE, outside)
