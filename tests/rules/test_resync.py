"""The slow net: rows that stay unsettled are reconciled again once a minute."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secaplane.model.position import Position
from secaplane.model.shape import Ref
from secaplane.readmodel import questions
from secaplane.reconcilers.wakes import unsettled
from secaplane.reconcilers.wakes.unsettled import RESYNC_S_MAX, RESYNC_S_MIN, UnsettledRows
from tests.positions import STREAM, nth
from tests.rules.test_requeue import DISK, NIC, Trace
from tests.virtual_time import in_virtual_time


class Rows:
    """Unsettled rows, and the checkpoint that they have reached."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.positions: dict[Ref, Position] = {}
        self.end = nth(1)
        self.asked = 0
        monkeypatch.setattr(unsettled, "questions", self)

    async def checkpoints(self, pool: object) -> dict[str, Position]:
        return {STREAM: self.end}

    async def unsettled_after(
        self, pool: object, last: Ref | None, *, limit: int
    ) -> Sequence[tuple[Ref, Position]]:
        self.asked += 1
        rows = sorted(self.positions.items(), key=lambda row: (row[0].kind, row[0].path))
        after = (last.kind, last.path) if last else ("", "")
        return [row for row in rows if (row[0].kind, row[0].path) > after][:limit]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    return Rows(monkeypatch)


async def passed(net: UnsettledRows) -> list[Ref]:
    return [ref async for page in net.pages() for ref in page]


def test_the_questions_of_the_double_are_those_of_the_read_model() -> None:
    assert {"checkpoints", "unsettled_after"} <= set(dir(questions))


async def test_only_a_row_without_an_event_since_the_pass_before_is_answered(rows: Rows) -> None:
    net = UnsettledRows(cast(Any, None))
    rows.positions, rows.end = {DISK: nth(5), NIC: nth(9)}, nth(7)
    assert (await passed(net), rows.asked) == ([], 0)
    rows.end = nth(20)
    assert await passed(net) == [DISK]
    rows.positions[DISK] = nth(19)
    assert set(await passed(net)) == {DISK, NIC}
    rows.positions.clear()
    rows.asked = 0
    assert (await passed(net), rows.asked) == ([], 1)


@in_virtual_time
async def test_a_long_list_is_read_in_pages_and_slowly() -> None:
    with pytest.MonkeyPatch.context() as patch:
        rows = Rows(patch)
        rows.positions = {Ref("nic", f"n{n:04}"): nth(1) for n in range(1200)}
        net = UnsettledRows(cast(Any, None))
        await passed(net)
        assert await passed(net) == sorted(rows.positions, key=lambda ref: ref.path)
        assert rows.asked == 5


@in_virtual_time
async def test_a_lost_wake_is_repaired_and_what_is_queued_keeps_its_time() -> None:
    with pytest.MonkeyPatch.context() as patch:
        rows = Rows(patch)
        rows.positions = {DISK: nth(1), NIC: nth(1)}
        trace = Trace(lambda ref, before: None)
        trace.reconcilers.queue.add(NIC, seconds=1000)

        async def net() -> None:
            resync = asyncio.create_task(trace.reconcilers._requeue_unsettled())
            await asyncio.sleep(170)
            resync.cancel()

        await trace.during(170, net())
        assert set(trace.times) == {DISK}
        times = [0.0, *trace.times[DISK]]
        assert all(RESYNC_S_MIN <= b - a <= RESYNC_S_MAX for a, b in pairwise(times))
        assert len(times) >= 3


@in_virtual_time
async def test_the_net_waits_for_a_database_that_does_not_answer() -> None:
    with pytest.MonkeyPatch.context() as patch:
        rows, answers = Rows(patch), False

        async def checkpoints(pool: object) -> dict[str, Position]:
            if not answers:
                raise ConnectionRefusedError
            return {STREAM: rows.end}

        rows.positions = {DISK: nth(1)}
        patch.setattr(
            unsettled,
            "questions",
            SimpleNamespace(checkpoints=checkpoints, unsettled_after=rows.unsettled_after),
        )
        trace = Trace(lambda ref, before: None)

        async def net() -> None:
            nonlocal answers
            resync = asyncio.create_task(trace.reconcilers._requeue_unsettled())
            await asyncio.sleep(100)
            answers = True
            await asyncio.sleep(200)
            resync.cancel()

        await trace.during(300, net())
        assert set(trace.times) == {DISK}
