"""Rate limits of requests, on a clock that the test sets."""

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


def test_a_burst_passes_at_once_and_then_one_at_a_time() -> None:
    clock = Clock()
    buckets = RateBuckets(2, 3, clock)
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]
    clock.now += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, pytest.approx(0.5)]
    clock.now += 60
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, pytest.approx(0.5)]


def test_a_refused_request_takes_no_token() -> None:
    clock = Clock()
    buckets = RateBuckets(1, 1, clock)
    assert buckets.take("a") == 0
    for _ in range(100):
        assert buckets.take("a") > 0
    clock.now += 1
    assert buckets.take("a") == 0


def test_each_key_has_its_own_bucket() -> None:
    buckets = RateBuckets(1, 1, Clock())
    assert [buckets.take("a"), buckets.take("b")] == [0, 0]


def test_a_burst_of_zero_is_what_arrives_in_a_second() -> None:
    buckets = RateBuckets(2.5, 0, Clock())
    assert [buckets.take("a") for _ in range(4)][:3] == [0, 0, 0]
    assert buckets.take("a") > 0


def test_memory_is_bounded_and_the_longest_unused_bucket_is_full_again(
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
def test_never_more_than_the_burst_and_what_filled_since(
    rate: int, burst: int, gaps: list[float]
) -> None:
    clock = Clock()
    began, buckets, taken = clock.now, RateBuckets(rate, burst, clock), 0
    for gap in gaps:
        clock.now += gap
        taken += buckets.take("a") == 0
    assert taken <= burst + rate * (clock.now - began) + 0.001


def test_a_refusal_names_whole_seconds_at_least_one() -> None:
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


def test_a_rate_of_zero_sets_no_limit_and_no_tenant_is_not_limited() -> None:
    for limits in (RateLimits(), RateLimits(tenant_per_second=0.001, tenant_burst=1)):
        for _ in range(100):
            limits.limit_caller("issuer", "jane")
            limits.limit_tenant("")
