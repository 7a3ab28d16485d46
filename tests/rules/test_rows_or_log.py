"""One resource by its name is never older than the log's newest event of that address: every case
of rows and log, without either."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from secaplane.kinds import KINDS
from secaplane.model.document import document, encode
from secaplane.model.errors import Damaged, Unavailable
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, Updated
from secaplane.model.evolve import fold
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.query.by_name import ByName
from secaplane.readmodel.batching import FoundDocument
from secaplane.readmodel.progress import Progress
from secaplane.readmodel.resource_log import NewestEvent
from tests.positions import nth
from tests.scenario import IDS, history

GATEWAY, REGION = KINDS["internet-gateway"].ref(IDS, "one"), "eu-1"
OTHER = KINDS["internet-gateway"].ref(IDS, "two")
STREAM = nth(1).stream
ONE, TWO = Created(spec={"size": 1}), Updated(spec={"size": 2})
GONE = (DeletionRequested(), Deleted())


def folded(*events: AnyEvent) -> Resource:
    resource = fold(history(GATEWAY, *events))
    assert resource is not None
    return resource


def row(resource: Resource, *, quarantined: bool = False) -> FoundDocument:
    text = encode(document(KINDS["internet-gateway"], resource, region=REGION)).decode()
    at = resource.position
    return FoundDocument(text, resource.uid, resource.tenant, at.stream, at.sequence, quarantined)


@dataclass
class Scene:
    """Rows and log of one resource; the log cannot decode one that is `damaged`."""

    rows: FoundDocument | None = None
    later_rows: FoundDocument | None = None
    """The row after a wait."""
    log: Resource | None = None
    cached: Resource | None = None
    log_answers: bool = True
    database_answers: bool = True
    damaged: bool = False
    quarantined: bool = False
    catches_up: bool = False
    streaming: bool = False
    informed: bool = True
    connects_again: bool = False
    """The log answers after a wait for the connection."""
    progress: Progress = field(default_factory=Progress)
    asked: list[str] = field(default_factory=list)

    async def read(self, *, required: Position = BEGINNING) -> FoundDocument | None:
        scene = self
        self.progress.announce(nth(2))

        class Rows:
            async def one(self, ref: Ref) -> FoundDocument | None:
                if not scene.database_answers:
                    raise ConnectionRefusedError
                waited = "wait" in scene.asked and scene.later_rows is not None
                return scene.later_rows if waited else scene.rows

        class Pool:
            async def fetchval(self, *query: Any) -> bool:
                return scene.quarantined

        class Log:
            async def newest(self, ref: Ref, *, known: Position) -> NewestEvent:
                scene.asked.append(f"newest since {known.sequence}")
                scene.refuse()
                if scene.log is None:
                    return NewestEvent(BEGINNING, living=False)
                return NewestEvent(scene.log.position, living=not scene.log.gone)

            async def resource(self, ref: Ref) -> Resource | None:
                scene.asked.append("resource")
                scene.refuse()
                return scene.log

            def cached(self, ref: Ref) -> Resource | None:
                return scene.cached

        async def reached(positions: Sequence[Position], patient: bool) -> bool:
            self.asked.append("wait")
            return self.catches_up

        reader = ByName(
            pool=cast(Any, Pool()),
            batched=cast(Any, Rows()),
            progress=self.progress,
            log=Log(),
            stream=lambda kind: STREAM,
            reached=reached,
            region=REGION,
            streaming=lambda: self.streaming,
            informed=lambda: self.informed,
            reconnected=self._reconnected,
        )
        return await reader.living(GATEWAY, required)

    async def _reconnected(self) -> bool:
        self.log_answers = self.log_answers or self.connects_again
        return self.connects_again

    def refuse(self) -> None:
        if self.damaged:
            raise Damaged("undecodable")
        if not self.log_answers:
            raise Unavailable("no leader")

    def behind(self) -> "Scene":
        """The process knows of an event that is not projected."""
        self.progress.know(nth(9))
        return self


async def test_a_process_that_may_have_missed_a_write_asks_the_log() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE, TWO), informed=False)
    found = await scene.read()
    assert found is not None
    assert found.sequence == folded(ONE, TWO).position.sequence
    assert scene.asked == ["newest since 0", "resource"]


async def test_a_lost_connection_to_the_log_is_awaited_before_an_old_row_is_answered() -> None:
    """Another server of the cluster accepts writes meanwhile."""
    scene = Scene(
        rows=row(folded(ONE)), log=folded(ONE, TWO), informed=False, log_answers=False,
        connects_again=True,
    )  # fmt: skip
    found = await scene.read()
    assert found is not None
    assert found.sequence == folded(ONE, TWO).position.sequence


async def test_a_row_answers_while_no_server_of_the_log_can_be_reached() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE), informed=False, log_answers=False)
    assert await scene.read() == row(folded(ONE))


async def test_a_row_answers_alone_while_the_rows_have_reached_what_is_known() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE, TWO))
    assert await scene.read() == scene.rows
    assert scene.asked == []


async def test_a_checkpoint_that_was_read_with_the_row_says_that_it_is_current() -> None:
    current = row(folded(ONE))._replace(reached=9)
    scene = Scene(rows=current, log=folded(ONE)).behind()
    assert await scene.read() == current
    assert scene.asked == []
    scene.rows = current._replace(reached=8)
    assert await scene.read() == scene.rows
    assert scene.asked == ["newest since 9"]


async def test_a_row_of_a_streaming_replica_needs_a_checkpoint_at_every_known_position() -> None:
    """The primary announces what its own rows have."""
    old = row(folded(ONE))._replace(reached=1)
    scene = Scene(rows=old, log=folded(ONE, TWO), streaming=True)
    assert await scene.read() == row(folded(ONE, TWO))
    scene.rows, scene.asked = row(folded(ONE, TWO))._replace(reached=2), []
    assert await scene.read() == scene.rows
    assert scene.asked == []


async def test_without_a_row_the_newest_event_decides() -> None:
    for log in (None, folded(ONE, *GONE)):
        scene = Scene(log=log)
        assert await scene.read() is None
        assert scene.asked == ["newest since 0"]
    accepted = Scene(log=folded(ONE))
    assert await accepted.read() == row(folded(ONE))


async def test_a_row_behind_the_log_is_replaced_by_what_evolve_makes() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE, TWO)).behind()
    assert await scene.read() == row(folded(ONE, TWO))
    assert scene.asked == ["newest since 9", "resource"]


async def test_a_row_that_is_the_newest_event_stays() -> None:
    scene = Scene(rows=row(folded(ONE, TWO)), log=folded(ONE, TWO)).behind()
    assert await scene.read() == scene.rows
    assert scene.asked == ["newest since 9"]


async def test_an_answer_of_the_log_that_is_older_than_the_row_decides_nothing() -> None:
    for older in (None, folded(ONE)):
        scene = Scene(rows=row(folded(ONE, TWO)), log=older).behind()
        assert await scene.read() == scene.rows


async def test_what_the_log_knows_as_gone_is_absent_though_it_has_a_row() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE, *GONE)).behind()
    assert await scene.read() is None


async def test_a_required_position_is_compared_with_the_log() -> None:
    scene = Scene(rows=row(folded(ONE)), log=folded(ONE, TWO))
    assert await scene.read(required=nth(7)) == row(folded(ONE, TWO))
    assert scene.asked[0] == "newest since 7"


# --- the log does not answer


async def test_without_the_log_the_rows_get_time_to_catch_up() -> None:
    scene = Scene(
        rows=row(folded(ONE)), later_rows=row(folded(ONE, TWO)), log_answers=False, catches_up=True
    ).behind()
    assert await scene.read() == row(folded(ONE, TWO))


async def test_without_the_log_a_row_that_does_not_catch_up_is_answered() -> None:
    scene = Scene(rows=row(folded(ONE)), log_answers=False).behind()
    assert await scene.read() == scene.rows
    assert scene.asked[-1] == "wait"


async def test_without_the_log_a_row_that_lacks_an_acknowledged_write_is_not_answered() -> None:
    scene = Scene(rows=row(folded(ONE)), log_answers=False)
    scene.progress.acknowledge(nth(9), "acme", OTHER)
    assert await scene.read() == scene.rows
    scene.progress.acknowledge(nth(9), "acme", GATEWAY)
    with pytest.raises(Unavailable):
        await scene.read()
    scene.cached = folded(ONE, TWO)  # older than the write, too
    with pytest.raises(Unavailable):
        await scene.read()


async def test_without_the_log_a_newer_state_that_this_process_wrote_is_answered() -> None:
    written = Scene(rows=row(folded(ONE)), cached=folded(ONE, TWO), log_answers=False).behind()
    assert await written.read() == row(folded(ONE, TWO))
    created = Scene(cached=folded(ONE), log_answers=False)
    assert await created.read() == row(folded(ONE))
    ended = Scene(rows=row(folded(ONE)), cached=folded(ONE, *GONE), log_answers=False).behind()
    assert await ended.read() is None


async def test_with_neither_log_nor_row_there_is_no_answer() -> None:
    for scene in (Scene(log_answers=False), Scene(log_answers=False).behind()):
        with pytest.raises(Unavailable):
            await scene.read()
    with pytest.raises(Unavailable):
        await Scene(rows=row(folded(ONE)), log_answers=False).read(required=nth(7))


async def test_a_damaged_resource_that_was_closed_is_absent_before_that_is_projected() -> None:
    closed = folded(ONE, *GONE)
    scene = Scene(rows=row(folded(ONE), quarantined=True), log=closed).behind()
    assert await scene.read() is None


# --- the database does not answer


async def test_without_the_database_the_log_answers() -> None:
    scene = Scene(log=folded(ONE, TWO), database_answers=False)
    assert await scene.read() == row(folded(ONE, TWO))
    assert await Scene(log=folded(ONE, *GONE), database_answers=False).read() is None
    with pytest.raises(Unavailable):
        await Scene(log_answers=False, database_answers=False).read()


# --- damage


async def test_a_damaged_resource_is_neither_absent_nor_answered_from_an_old_row() -> None:
    for scene in (
        Scene(rows=row(folded(ONE), quarantined=True)),
        Scene(quarantined=True),
        Scene(damaged=True),
        Scene(rows=row(folded(ONE)), damaged=True).behind(),
    ):
        with pytest.raises(Damaged):
            await scene.read()
