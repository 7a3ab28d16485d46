"""How often somebody may ask, on a clock that goes as we say."""

import hypothesis
import pytest
from hypothesis import strategies as st

from secaplane.edge.requests import rates
from secaplane.edge.requests.rates import RateBuckets, RateLimits
from secaplane.model.errors import RateLimited


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_taken_at_once_and_then_one_at_a_time() -> None:
    clock = Clock()
    buckets = RateBuckets(2, 3, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]
    clock.now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, pytest.approx(0.5)]
    clock.now += 60
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]


def test_what_is_refused_costs_no_token() -> None:
    clock = Clock()
    buckets = RateBuckets(1, 1, clock)
    assert buckets.take("a") == 0
    for _ in range(100):
        assert buckets.take("a") > 0
    clock.now += 1
    assert buckets.take("a") == 0


def test_nobody_empties_the_bucket_of_another() -> None:
    buckets = RateBuckets(1, 1, Clock())
    assert [buckets.take("a"), buckets.take("b")] == [0, 0]


def test_without_a_burst_it_is_what_comes_in_a_second() -> None:
    buckets = RateBuckets(2.5, 0, Clock())
    assert [buckets.take("a") for _ in range(4)][:3] == [0, 0, 0]
    assert buckets.take("a") > 0


def test_memory_is_bounded_and_who_was_quiet_longest_begins_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates, "BUCKETS_MAX", 3)
    buckets = RateBuckets(1, 1, Clock())
    for key in "abcabcd":
        buckets.take(key)
    assert len(buckets) == 3
    assert buckets.take("d") > 0
    assert buckets.take("a") == 0


@hypothesis.given(
    rate=st.integers(1, 1000),
    burst=st.integers(1, 50),
    gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_what_came_since(
    rate: int, burst: int, gaps: list[float]
) -> None:
    clock = Clock()
    began, buckets, taken = clock.now, RateBuckets(rate, burst, clock), 0
    for gap in gaps:
        clock.now += gap
        taken += buckets.take("a") == 0
    assert taken <= burst + rate * (clock.now - began) + 0.001


def test_a_refusal_says_when_in_whole_seconds_at_least_one() -> None:
    limits = RateLimits(
        caller_per_second=0.2, caller_burst=1, tenant_per_second=100, tenant_burst=1
    )
    limits.limit_caller("issuer", "jane")
    with pytest.raises(RateLimited) as refused:
        limits.limit_caller("issuer", "jane")
    assert refused.value.retry_after_s == 5
    limits.limit_caller("another", "jane")
    limits.limit_tenant("acme")
    with pytest.raises(RateLimited) as refused:
        limits.limit_tenant("acme")
    assert refused.value.retry_after_s == 1


def test_off_means_off_and_what_lies_in_no_tenant_is_no_tenants() -> None:
    for limits in (RateLimits(), RateLimits(tenant_per_second=0.001, tenant_burst=1)):
        for _ in range(100):
            limits.limit_caller("issuer", "jane")
            limits.limit_tenant("")
