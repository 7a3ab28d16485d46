"""The delay of accepted writes while reconcilers are behind."""

import pytest

from secaplane.readmodel.backlog import (
    ALLOWED_S,
    PROCESSES_MAX,
    SHARE,
    VALID_S,
    Backlog,
)

MOST = 1.0


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def backlog(clock: Clock) -> Backlog:
    return Backlog(clock)


def test_nothing_is_delayed_without_an_announcement(backlog: Backlog) -> None:
    assert backlog.delay_s("acme", MOST) == 0
    assert backlog.longest_s == 0


def test_a_short_wait_delays_nothing(backlog: Backlog) -> None:
    backlog.take("one", {"acme": ALLOWED_S})
    assert backlog.delay_s("acme", MOST) == 0


def test_the_delay_grows_with_the_wait_without_a_step_and_is_bounded(backlog: Backlog) -> None:
    before = 0.0
    for tenths in range(10, 200):
        backlog.take("one", {"acme": tenths / 10})
        delay = backlog.delay_s("acme", MOST)
        assert before <= delay <= min(MOST, before + SHARE / 10 + 1e-9)
        before = delay
    assert before == MOST


def test_only_the_tenant_that_waits_is_delayed(backlog: Backlog) -> None:
    backlog.take("one", {"acme": 5.0})
    assert backlog.delay_s("acme", MOST) > 0
    assert backlog.delay_s("other", MOST) == 0


def test_the_longest_wait_of_all_processes_counts(backlog: Backlog) -> None:
    backlog.take("one", {"acme": 3.0})
    backlog.take("two", {"acme": 5.0, "other": 2.0})
    backlog.take("one", {"acme": 4.0})
    assert backlog.wait_s("acme") == 5.0
    assert backlog.longest_s == 5.0
    backlog.take("two", {})
    assert backlog.wait_s("acme") == 4.0


def test_an_announcement_is_forgotten_when_it_is_not_repeated(
    backlog: Backlog, clock: Clock
) -> None:
    backlog.take("one", {"acme": 50.0})
    clock.now += VALID_S + 0.1
    assert backlog.delay_s("acme", MOST) == 0
    assert backlog.longest_s == 0


def test_announcements_of_processes_that_ended_are_dropped(backlog: Backlog) -> None:
    for n in range(PROCESSES_MAX * 3):
        backlog.take(str(n), {"acme": float(n)})
    assert len(backlog._announced) == PROCESSES_MAX
    assert backlog.wait_s("acme") == PROCESSES_MAX * 3 - 1


def test_a_setting_of_zero_delays_nothing(backlog: Backlog) -> None:
    backlog.take("one", {"acme": 50.0})
    assert backlog.delay_s("acme", 0.0) == 0
