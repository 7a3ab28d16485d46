"""Progress of the read model, and the positions that this process knows of beyond it."""

import pytest

from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref
from secaplane.readmodel.progress import DOUBT_S, TENANTS_MAX, WRITTEN_MAX, Progress
from tests.positions import nth

DISK, SPARE = Ref("block-storage", "disk"), Ref("block-storage", "spare")


def test_nothing_is_behind_while_the_rows_reach_what_is_known() -> None:
    progress = Progress()
    assert not progress.behind
    progress.announce(nth(3))
    progress.know(nth(2))
    progress.know(BEGINNING)
    assert not progress.behind


def test_the_rows_are_behind_a_known_position_until_they_reach_it() -> None:
    progress = Progress()
    progress.announce(nth(3))
    progress.know(nth(5))
    progress.know(nth(4))
    assert progress.behind == {nth(5).stream: nth(5)}
    progress.announce(nth(4))
    assert progress.behind == {nth(5).stream: nth(5)}
    progress.announce(nth(6))
    assert not progress.behind


def test_rows_that_went_back_are_behind_what_was_announced_before() -> None:
    progress = Progress()
    progress.announce(nth(7))
    progress.announce(nth(5))
    assert progress.behind == {nth(7).stream: nth(7)}
    progress.announce(nth(7))
    assert not progress.behind


def test_after_a_lost_connection_the_rows_are_behind_until_they_are_announced_again() -> None:
    now = [100.0]
    progress = Progress(lambda: now[0])
    progress.announce(nth(7))
    progress.doubt()
    now[0] += DOUBT_S / 2
    progress.announce(nth(7))  # the projector may not have noticed yet
    assert progress.behind == {nth(7).stream: nth(7)}
    now[0] += DOUBT_S
    progress.know(nth(7))
    assert progress.behind == {nth(7).stream: nth(7)}
    progress.announce(nth(6))
    assert progress.behind == {nth(7).stream: nth(7)}
    progress.announce(nth(7))
    assert not progress.behind


def test_each_stream_is_compared_with_itself() -> None:
    progress, other = Progress(), Position("OTHER", 2)
    progress.announce(nth(9))
    progress.know(other)
    assert progress.behind == {"OTHER": other}


def test_a_tenant_has_the_positions_acknowledged_in_it() -> None:
    progress, other = Progress(), Position("OTHER", 2)
    progress.announce(nth(1))
    progress.acknowledge(nth(3), "acme")
    progress.acknowledge(nth(2), "acme")
    progress.acknowledge(other, "acme")
    progress.acknowledge(nth(4), "rival")
    assert set(progress.acknowledged("acme")) == {nth(3), other}
    assert list(progress.acknowledged("rival")) == [nth(4)]
    assert list(progress.acknowledged("third")) == []
    assert progress.behind == {nth(4).stream: nth(4), "OTHER": other}
    progress.announce(nth(3))
    assert list(progress.acknowledged("acme")) == [other]
    progress.announce(other)
    assert list(progress.acknowledged("acme")) == []


def test_a_resource_has_the_newest_position_acknowledged_until_the_rows_reach_it() -> None:
    progress, stream = Progress(), nth(1).stream
    progress.announce(nth(1))
    progress.acknowledge(nth(3), "acme", DISK)
    progress.acknowledge(nth(2), "acme", DISK)
    progress.acknowledge(Position("OTHER", 9), "acme", DISK)
    assert progress.written(DISK, stream) == nth(3)
    assert progress.written(SPARE, stream) == BEGINNING
    progress.announce(nth(3))
    assert progress.written(DISK, stream) == BEGINNING
    for n in range(WRITTEN_MAX + 1):
        progress.acknowledge(nth(n + 4), "acme", Ref("block-storage", f"v{n}"))
    assert progress.written(Ref("block-storage", "v0"), stream) == BEGINNING
    assert progress.written(Ref("block-storage", f"v{WRITTEN_MAX}"), stream) != BEGINNING


def test_the_tenants_that_are_kept_are_bounded() -> None:
    progress = Progress()
    for n in range(TENANTS_MAX + 1):
        progress.acknowledge(nth(n + 1), f"t{n}")
    assert list(progress.acknowledged("t0")) == []
    assert list(progress.acknowledged(f"t{TENANTS_MAX}")) == [nth(TENANTS_MAX + 1)]


@pytest.mark.parametrize("known", [nth(1), nth(2)])
async def test_a_caller_waits_only_for_what_is_missing(known: Position) -> None:
    progress = Progress()
    progress.announce(nth(1))
    assert await progress.reached([known], seconds=0.01) is (known == nth(1))
