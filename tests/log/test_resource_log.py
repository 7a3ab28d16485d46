"""The log as the read side asks it (`readmodel.resource_log`): one address, and never an answer
older than a position that is known."""

import pytest

from secaplane.cli.processes.resource_log import CachedResourceLog
from secaplane.eventlog import monotonic
from secaplane.eventlog.log import Log, LogUnavailable
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.events import Closed, Created, Deleted, DeletionRequested
from secaplane.model.position import BEGINNING, Position
from secaplane.readmodel.resource_log import NewestEvent
from tests.log.appending import CREATED, UPDATED, add, append_undecodable
from tests.log.new_events import ONE, REGION, TWO
from tests.positions import nth

TRIES_MAX = 10


class LateEndLog(MemoryLog):
    """A leader that lags: its end is reached only after some questions; or it never answers."""

    lags_for, asked, answers = 0, 0, True

    async def end(self, stream: str) -> Position:
        self.asked += 1
        if not self.answers:
            raise LogUnavailable("no leader")
        return BEGINNING if self.asked <= self.lags_for else await super().end(stream)


def reading(log: Log) -> CachedResourceLog:
    return CachedResourceLog(log, ResourceCache(log, MemorySnapshots()))


@pytest.fixture
def lagging(monkeypatch: pytest.MonkeyPatch) -> LateEndLog:
    monkeypatch.setattr(monotonic, "ASKED_AGAIN_S", (0.0,) * len(monotonic.ASKED_AGAIN_S))
    return LateEndLog(REGION)


async def test_the_newest_event_of_an_address_says_if_there_is_a_resource(log: Log) -> None:
    read = reading(log)
    assert await read.newest(ONE, known=BEGINNING) == NewestEvent(BEGINNING, living=False)
    await add(log, ONE, CREATED, UPDATED)
    await add(log, TWO, CREATED)
    assert await read.newest(ONE, known=nth(3)) == NewestEvent(nth(2), living=True)
    resource = await read.resource(ONE)
    assert resource is not None
    assert (resource.position, resource.spec) == (nth(2), UPDATED.spec)
    assert read.cached(ONE) == resource
    await add(log, ONE, DeletionRequested())
    assert (await read.newest(ONE, known=BEGINNING)).living
    await add(log, ONE, Deleted())
    assert await read.newest(ONE, known=nth(5)) == NewestEvent(nth(5), living=False)
    await add(log, ONE, Created(spec={}))
    assert await read.newest(ONE, known=nth(6)) == NewestEvent(nth(6), living=True)
    await add(log, ONE, Closed(since=nth(6), version=4, reason="unreadable"))
    assert await read.newest(ONE, known=nth(7)) == NewestEvent(nth(7), living=False)


async def test_a_leader_that_lags_behind_a_known_position_is_asked_again(
    lagging: LateEndLog,
) -> None:
    lagging.lags_for = 3
    await add(lagging, ONE, CREATED)
    assert await reading(lagging).newest(ONE, known=nth(1)) == NewestEvent(nth(1), living=True)
    assert lagging.asked == 4


async def test_a_position_that_no_log_has_is_asked_for_a_few_times_only(
    lagging: LateEndLog,
) -> None:
    await add(lagging, ONE, CREATED)
    with pytest.raises(Unavailable):
        await reading(lagging).newest(ONE, known=nth(10**9))
    assert lagging.asked <= TRIES_MAX


async def test_a_log_that_does_not_answer_is_unavailable(lagging: LateEndLog) -> None:
    lagging.answers = False
    with pytest.raises(Unavailable):
        await reading(lagging).newest(ONE, known=nth(1))


async def test_an_undecodable_event_is_damage(log: Log) -> None:
    await append_undecodable(log, ONE, b'{"v":99}')
    for ask in (reading(log).newest(ONE, known=BEGINNING), reading(log).resource(ONE)):
        with pytest.raises(Damaged):
            await ask
