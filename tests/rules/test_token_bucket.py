"""Token buckets, and the throttle that counts what it drops."""

from hypothesis import given
from hypothesis import strategies as st

from secaplane.audit.token_bucket import Released, Throttle


def throttle(keys_max: int = 100) -> Throttle[int]:
    return Throttle(burst=3, per_s=2.0, keys_max=keys_max)


def taken(of: Throttle[int], key: str, number: int, now: float = 0.0) -> list[Released[int]]:
    passed = [of.take(key, n, now) for n in range(number)]
    return [each for each in passed if each is not None]


def test_a_burst_passes_and_the_rest_is_counted() -> None:
    bounded = throttle()
    assert taken(bounded, "a", 10) == [(0, 0), (1, 0), (2, 0)]
    assert (bounded.dropped, len(bounded)) == (6, 1)  # the last one is held


def test_each_key_has_its_own_bucket() -> None:
    bounded = throttle()
    taken(bounded, "a", 1000)
    assert taken(bounded, "b", 3) == [(0, 0), (1, 0), (2, 0)]


def test_a_bucket_fills_with_time_but_never_beyond_the_burst() -> None:
    bounded = throttle()
    taken(bounded, "a", 3)
    assert len(taken(bounded, "a", 10, now=1.0)) == 2
    assert len(taken(bounded, "a", 10, now=1000.0)) == 3


def test_the_next_item_that_passes_carries_the_count() -> None:
    bounded = throttle()
    taken(bounded, "a", 10)
    assert bounded.take("a", 77, 0.5) == (77, 7)
    assert bounded.take("a", 78, 1.0) == (78, 0)
    assert bounded.dropped == 7


def test_a_held_item_passes_when_there_is_a_token() -> None:
    bounded = throttle()
    taken(bounded, "a", 10)
    assert bounded.due(0.4) == []
    assert bounded.due(0.5) == [(9, 6)]
    assert bounded.due(9.0) == []
    assert (bounded.dropped, len(bounded)) == (6, 0)


def test_all_held_items_pass_at_the_end() -> None:
    bounded = throttle()
    for key in "ab":
        taken(bounded, key, 5)
    assert sorted(bounded.rest()) == [(4, 1), (4, 1)]
    assert bounded.rest() == []


def test_items_dropped_later_are_counted_too() -> None:
    bounded = throttle()
    bounded.take("a", 1, 0.0)
    bounded.missed("a", 4)
    assert bounded.take("a", 2, 0.0) == (2, 4)
    bounded.missed("unknown", 4)


def test_the_key_that_was_silent_for_longest_is_evicted() -> None:
    bounded = throttle(keys_max=2)
    taken(bounded, "a", 5)
    taken(bounded, "b", 5)
    bounded.take("a", 9, 0.0)
    bounded.take("c", 1, 0.0)
    assert len(bounded) == 1
    assert taken(bounded, "a", 1, 0.0) == []
    assert len(taken(bounded, "b", 9, 0.0)) == 3


def test_a_clock_that_goes_back_does_no_harm() -> None:
    bounded = throttle()
    assert len(taken(bounded, "a", 9, now=100.0)) == 3
    assert taken(bounded, "a", 9, now=1.0) == []


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.floats(0, 0.5), st.booleans()), max_size=200)
)
def test_every_item_is_accounted_for(steps: list[tuple[str, float, bool]]) -> None:
    """Each item passed, or was dropped and counted, or is held."""
    bounded, now, passed = throttle(), 0.0, list[Released[int]]()
    for n, (key, later, looks) in enumerate(steps):
        now += later
        one = bounded.take(key, n, now)
        passed += [one] if one is not None else []
        passed += bounded.due(now) if looks else []
    assert len(passed) + bounded.dropped + len(bounded) == len(steps)
    passed += bounded.rest()
    assert sum(1 + each.dropped for each in passed) == len(steps)
    assert len({each.item for each in passed}) == len(passed)
