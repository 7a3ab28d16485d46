"""Refused writes have lower limits than refused callers, and none is left uncounted."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from secaplane.audit.entries import Entry, EntryCaller, EntryType, entry
from secaplane.audit.entry_limits import (
    ALL_REFUSED_BURST,
    ALL_REFUSED_PER_S,
    BURST,
    REFUSED_BURST,
    REFUSED_PER_S,
    REPEATED_BURST,
    REPEATED_PER_S,
    EntryLimits,
)

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR_S = 3600


def of(sub: str = "jane", path: str = "/one", type_: EntryType = "refused") -> Entry:
    caller = EntryCaller("https://id.example.org", sub, "t")
    return entry(
        type_, time=WHEN, request="r", client_address="", caller=caller, verb="put", path=path
    )


def taken(limits: EntryLimits, entries: list[Entry], now: float = 0.0) -> list[Entry]:
    passed = [limits.take(each, now) for each in entries]
    return [each for each in passed if each is not None]


def stands_for(entries: list[Entry]) -> int:
    return sum(1 + each.dropped for each in entries)


def test_a_retry_loop_is_recorded_once_a_minute_with_the_number_of_its_repetitions() -> None:
    limits, passed = EntryLimits(), list[Entry]()
    for second in range(HOUR_S):
        passed += taken(limits, [of()], second)
        passed += limits.due(second)
    assert len(passed) <= REPEATED_BURST + HOUR_S * REPEATED_PER_S
    assert [each.dropped for each in passed[:REPEATED_BURST]] == [0] * REPEATED_BURST
    passed += limits.rest()
    assert stands_for(passed) == HOUR_S


def test_a_retry_loop_hides_no_other_refused_write_of_its_caller() -> None:
    limits = EntryLimits()
    taken(limits, [of()] * 10_000)
    assert [each.path for each in taken(limits, [of(path="/other")])] == ["/other"]


def test_a_caller_with_ever_new_requests_has_a_limit_and_is_counted() -> None:
    limits, passed, seconds = EntryLimits(), list[Entry](), 100
    for second in range(seconds):
        passed += taken(limits, [of(path=f"/{second}-{n}") for n in range(200)], second)
        passed += limits.due(second)
    assert len(passed) <= REFUSED_BURST + REFUSED_PER_S * seconds
    assert taken(limits, [of("joe")], seconds)
    passed += [each for each in limits.rest() if each.caller.sub == "jane"]
    assert stands_for(passed) == 200 * seconds


def test_all_refused_writes_of_a_process_have_a_limit_and_displace_no_refused_caller() -> None:
    limits, passed, seconds = EntryLimits(), list[Entry](), 60
    for second in range(seconds):
        passed += taken(limits, [of(f"sub-{n}", f"/{second}") for n in range(1000)], second)
    assert len(passed) <= ALL_REFUSED_BURST + ALL_REFUSED_PER_S * seconds
    forbidden = [of(f"sub-{n}", type_="forbidden") for n in range(1000)]
    assert taken(limits, forbidden, seconds) == forbidden
    assert len(taken(limits, [of(type_="forbidden")] * (BURST + 5), seconds)) == BURST


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from(("/1", "/2", "/3")),
            st.floats(0, 30),
            st.sampled_from(("refused", "forbidden")),
            st.booleans(),
        ),
        max_size=300,
    )
)
def test_every_entry_passes_or_is_held_or_is_counted_in_a_later_one(
    steps: list[tuple[str, str, float, EntryType, bool]],
) -> None:
    limits, now, passed = EntryLimits(), 0.0, list[Entry]()
    for sub, path, later, type_, looks in steps:
        now += later
        passed += taken(limits, [of(sub, path, type_)], now)
        passed += limits.due(now) if looks else []
    assert len(limits) <= len(steps)
    passed += limits.rest()
    assert stands_for(passed) == len(steps)
