"""Caches are bounded in bytes as well as in entries."""

import sys
from typing import Any

import pytest

from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.bounded_cache import CACHED_BYTES_MAX, BoundedCache, event_bytes, footprint
from secaplane.model.events import Created, StatusReported, Updated
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, State
from tests.log.new_events import IDS, REGION, new_event
from tests.positions import nth


def cache(*, entries_max: int = 4, bytes_max: int = 10) -> BoundedCache[str, str]:
    return BoundedCache(len, entries_max=entries_max, bytes_max=bytes_max)


def test_what_was_unused_for_longest_is_dropped_at_the_bound_of_entries() -> None:
    some = cache(entries_max=2)
    some.put("a", "1")
    some.put("b", "2")
    assert some.get("a") == "1"
    some.put("c", "3")
    assert list(some) == ["a", "c"]


def test_what_was_unused_for_longest_is_dropped_at_the_bound_of_bytes() -> None:
    some = cache()
    for key in "abc":
        some.put(key, "four")
    assert (list(some), some.bytes) == (["b", "c"], 8)
    some.put("c", "ten chars.")
    assert (list(some), some.bytes) == (["c"], 10)


def test_the_newest_value_is_kept_even_if_it_is_too_large() -> None:
    some = cache()
    some.put("a", "1")
    some.put("b", "x" * 100)
    assert (list(some), some.bytes) == (["b"], 100)
    some.put("c", "1")
    assert (list(some), some.bytes) == (["c"], 1)


def test_the_bytes_are_those_of_the_values_held() -> None:
    some = cache()
    some.put("a", "123")
    some.put("a", "1")
    some.put("b", "12")
    assert some.bytes == 3
    some.pop("a")
    some.pop("a")
    assert some.bytes == 2
    assert some.get("a") is None
    some.clear()
    assert (len(some), some.bytes) == (0, 0)


def deep_size(value: Any) -> int:
    size = sys.getsizeof(value)
    if isinstance(value, dict):
        size += sum(deep_size(k) + deep_size(v) for k, v in value.items())
    elif isinstance(value, list):
        size += sum(map(deep_size, value))
    return size


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1000,
        "x" * 1000 + "\N{GRINNING FACE}",
        [{} for _ in range(1000)],
        [[] for _ in range(1000)],
        [0.5 + n for n in range(1000)],
        [{"a": n} for n in range(1000)],
        {f"key-{n}": f"value-{n}" for n in range(1000)},
        [[[[{"a": {"b": {}}}]]] for _ in range(100)],
    ],
    ids=["text", "wide text", "objects", "arrays", "numbers", "small objects", "members", "nested"],
)
def test_an_estimate_is_not_below_the_memory_that_a_value_takes(value: Any) -> None:
    assert deep_size(value) <= footprint(value) <= 5 * deep_size(value)


def test_an_event_weighs_what_its_desired_state_or_its_status_weighs() -> None:
    ref, large = KINDS["workspace"].ref(IDS, "web"), {"a": "x" * 100_000}
    report = StatusReported(state=State.ACTIVE, observed_position=BEGINNING, status=large)
    for event in (Created(spec=large), Updated(spec={}, annotations={"a": "x" * 100_000}), report):
        assert event_bytes(new_event(ref, event).at(nth(1))) > 100_000
    assert event_bytes(new_event(ref, Created(spec={})).at(nth(1))) < 10_000
    assert event_bytes(object()) < 10_000


async def test_large_resources_do_not_grow_the_cache_of_a_process() -> None:
    log = MemoryLog(REGION)
    resources = ResourceCache(log, MemorySnapshots())
    spec: Json = {f"k{n}": "x" * 100 for n in range(10_000)}
    refs = [KINDS["workspace"].ref(IDS, f"w{n}") for n in range(40)]
    for ref in refs:
        await log.append(new_event(ref, Created(spec=spec)))
        assert await resources.recent(ref) is not None
    for held in (resources._resources, resources._recent):
        assert 1 < len(held) < 40
        assert held.bytes <= CACHED_BYTES_MAX
    first = await resources.current(refs[0])
    assert first is not None
    assert first.spec == spec
