"""A read of the past includes every write that was answered, whether its process was notified of it
or not."""

from secaplane.cli.processes.history import KnownEnds
from secaplane.eventlog.log import LogUnavailable
from secaplane.eventlog.memory import MemoryLog
from secaplane.model.events import Created
from secaplane.model.position import Position
from secaplane.readmodel.progress import Progress
from tests.log.new_events import ONE, REGION, new_event


class AskedLog(MemoryLog):
    """Counts the questions for an end; does not answer while it is `down`."""

    asked, down = 0, False

    async def end(self, stream: str) -> Position:
        self.asked += 1
        if self.down:
            raise LogUnavailable
        return await super().end(stream)


async def scene(*, informed: bool) -> tuple[AskedLog, KnownEnds, Position]:
    """A process that was notified of the first of two events, and the position of the second."""
    log, progress = AskedLog(REGION), Progress()
    first = await log.append(new_event(ONE, Created(spec={})))
    progress.know(first.position)
    second = await log.append(new_event(ONE, Created(spec={}), previous=first.position))
    return log, KnownEnds(log, progress, lambda: informed), second.position


async def test_a_process_that_knows_of_every_write_asks_nothing() -> None:
    log, ends, second = await scene(informed=True)
    assert await ends.including([second.moved(-1)]) == [second.moved(-1)]
    assert log.asked == 0


async def test_the_log_is_asked_for_a_position_that_is_later_than_what_is_known() -> None:
    log, ends, second = await scene(informed=True)
    assert await ends.including([second.moved(5)]) == [second]
    assert await ends.including([second]) == [second]
    assert log.asked == 1


async def test_the_log_is_asked_by_a_process_that_may_have_missed_a_write() -> None:
    _, ends, second = await scene(informed=False)
    assert await ends.including([]) == [second]


async def test_without_the_log_what_is_known_counts() -> None:
    log, ends, second = await scene(informed=False)
    log.down = True
    assert await ends.including([]) == [second.moved(-1)]
