"""Progress of replicas: announcements of other databases, rows of streaming replicas, readers that
writers have to know of, and projectors that stand by."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secaplane.model.position import BEGINNING
from secaplane.projector import standby
from secaplane.readmodel.announcements import Announcements, ProgressAnnouncement, Rival, subject
from secaplane.readmodel.progress import SOON_EVENTS, SOON_SILENT_S, Progress
from secaplane.readmodel.readers import FORGOTTEN_S, UNKNOWN_S, Readers
from secaplane.readmodel.schema.replica import PresentReplica, Replica
from tests.positions import STREAM, nth

OWN, OTHER = Replica("a", "1" * 32), Replica("a", "2" * 32)
READ_MODEL = "resources_1"


class Nats:
    """Keeps the subscriptions, and delivers what a test announces."""

    def __init__(self) -> None:
        self.callbacks: dict[str, Any] = {}

    async def subscribe(self, subject: str, cb: Any) -> None:
        self.callbacks[subject] = cb

    async def announce(self, replica: Replica, sequence: int) -> None:
        name = subject(STREAM, replica.name, READ_MODEL)
        text = ProgressAnnouncement(sequence, replica.id, "p").text
        if name in self.callbacks:
            await self.callbacks[name](SimpleNamespace(subject=name, data=text))


async def listening(*, streaming: bool = False) -> tuple[Nats, Progress, Announcements]:
    nats, progress = Nats(), Progress()
    present = PresentReplica(OWN, streaming)
    announcements = Announcements(cast(Any, nats), progress, present, streams=[STREAM])
    await announcements.listen(READ_MODEL)
    return nats, progress, announcements


@pytest.mark.parametrize("last", [False, True])
def test_an_announcement_is_read_as_it_was_written(last: bool) -> None:
    each = ProgressAnnouncement(73, OWN.id, "p1", last)
    assert ProgressAnnouncement.read(each.text) == each


async def test_progress_of_another_replica_is_not_that_of_this_one() -> None:
    nats, progress, announcements = await listening()
    await nats.announce(OWN, 5)
    await nats.announce(Replica("b", OTHER.id), 9)
    assert (progress.position(STREAM), announcements.remarks) == (nth(5), [])


async def test_another_database_of_the_same_name_is_ignored_and_remarked() -> None:
    nats, progress, announcements = await listening()
    await nats.announce(OWN, 5)
    await nats.announce(OTHER, 9)
    assert progress.position(STREAM) == nth(5)
    assert not progress.behind
    (remark,) = announcements.remarks
    assert OTHER.id in remark
    assert "name of its own" in remark


async def test_on_a_streaming_replica_an_announcement_is_what_the_log_has() -> None:
    nats, progress, _ = await listening(streaming=True)
    await nats.announce(OWN, 5)
    assert progress.position(STREAM) == BEGINNING
    assert progress.newest(STREAM) == nth(5)
    assert progress.behind == {STREAM: nth(5)}


def test_a_writer_acknowledges_while_readers_of_other_databases_are_present() -> None:
    now = [0.0]
    readers = Readers(PresentReplica(OWN), lambda: now[0])
    assert readers.elsewhere  # it does not know yet
    now[0] = UNKNOWN_S
    readers.seen("own", OWN.id, streaming=False)
    assert not readers.elsewhere
    for replica_id, streaming in ((OTHER.id, False), (OWN.id, True)):
        readers.seen("other", replica_id, streaming=streaming)
        assert readers.elsewhere
        assert readers.present(elsewhere=True) == {"other"}
        now[0] += FORGOTTEN_S
        assert not readers.elsewhere
        assert not readers.present(elsewhere=False)
    readers.seen("other", OTHER.id, streaming=False)
    readers.left("other")
    assert not readers.elsewhere


def test_what_the_rows_have_when_it_is_acknowledged_is_not_kept() -> None:
    progress = Progress()
    progress.announce(nth(3))
    progress.acknowledge(nth(3), "acme")
    assert list(progress.acknowledged("acme")) == []
    progress.acknowledge(nth(4), "acme")
    assert list(progress.acknowledged("acme")) == [nth(4)]


async def test_rows_that_follow_closely_get_a_short_time() -> None:
    progress = Progress()
    progress.announce(nth(3))
    progress.know(nth(4))
    waiting = asyncio.create_task(progress.soon(nth(4)))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert progress.awaited
    progress.announce(nth(4))
    await waiting
    assert not progress.awaited


async def test_rows_that_are_far_behind_or_stand_still_get_none() -> None:
    now = [0.0]
    progress = Progress(lambda: now[0])
    progress.announce(nth(1))
    for missing, silent_s in ((SOON_EVENTS + 1, 0.0), (1, SOON_SILENT_S)):
        now[0] += silent_s
        waiting = asyncio.create_task(progress.soon(nth(1 + missing)))
        await asyncio.sleep(0)
        assert waiting.done()


class Announced:
    """An announcer whose rival a test controls."""

    def __init__(self) -> None:
        self.other = Rival("own", OWN.id)

    @asynccontextmanager
    async def rival(self) -> AsyncIterator[Rival]:
        yield self.other

    async def announce(self, projector: str, *, last: bool = False, replica: Replica = OWN) -> None:
        text = ProgressAnnouncement(1, replica.id, projector, last).text
        await self.other.announced(cast(Any, SimpleNamespace(data=text)))


async def test_a_projector_stands_by_until_the_other_one_ends() -> None:
    announcer, refreshed = Announced(), list[int]()

    async def refresh() -> None:
        refreshed.append(1)

    standing = asyncio.create_task(standby.stand_by(cast(Any, announcer), refresh))
    await announcer.announce("other")
    await announcer.announce("own", last=True)  # its own announcements decide nothing
    await announcer.announce("other", last=True, replica=OTHER)
    await asyncio.sleep(0)
    assert not standing.done()
    await announcer.announce("other", last=True)
    await standing
    assert refreshed


async def test_a_projector_takes_over_when_the_other_one_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standby, "RIVAL_SILENT_S", 0.0)

    async def refresh() -> None: ...

    await standby.stand_by(cast(Any, Announced()), refresh)
