"""A cache that is bounded in entries and in bytes: what was unused for longest is dropped first.
Pure.

Every cache of decoded resources and events is one of these: a thousand small specs and ten of 1 MB
take about the same memory (docs/decisions/038).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from secaplane.model.events import DesiredState, RecordedEvent, StatusReported
from secaplane.model.shape import Resource

K = TypeVar("K")
V = TypeVar("V")

CACHED_MAX = 4096
CACHED_BYTES_MAX = 20 * 1024 * 1024
"""Of one cache. A process has two or three of resources."""
ENVELOPE_BYTES, CONDITION_BYTES = 1024, 512
"""Of a resource or event without its JSON, and of one condition."""
MEMBER_BYTES, OBJECT_BYTES, ARRAY_BYTES = 64, 240, 72
"""Of a value of an object or array beside its text, and of an empty one."""
WIDEST_BYTES = 4
"""Of each character of a text in which one is not ASCII."""

_encode = msgspec.json.Encoder().encode


class BoundedCache(Generic[K, V]):
    """Values by key. The newest value is kept, even if it is larger than the bound."""

    def __init__(
        self,
        weigh: Callable[[V], int],
        *,
        entries_max: int = CACHED_MAX,
        bytes_max: int = CACHED_BYTES_MAX,
    ) -> None:
        """`weigh` estimates the bytes that a value takes."""
        self._weigh, self._entries_max, self._bytes_max = weigh, entries_max, bytes_max
        self._values: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[K]:
        return iter(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        held = self._values.get(key)
        if held is None:
            return None
        self._values.move_to_end(key)
        return held[0]

    def put(self, key: K, value: V) -> None:
        self.pop(key)
        weight = self._weigh(value)
        self._values[key] = (value, weight)
        self.bytes += weight
        while len(self._values) > 1 and (
            self.bytes > self._bytes_max or len(self._values) > self._entries_max
        ):
            self.bytes -= self._values.popitem(last=False)[1][1]

    def pop(self, key: K) -> None:
        held = self._values.pop(key, None)
        if held is not None:
            self.bytes -= held[1]

    def clear(self) -> None:
        self._values.clear()
        self.bytes = 0


def footprint(value: object) -> int:
    """An estimate of the bytes that a JSON value takes in memory, from its text: small values take
    far more than their text. Text that looks like structure makes it too large, never too small."""
    text = _encode(value)
    members = 1 + text.count(b",") + text.count(b":")
    return (
        len(text) * (1 if text.isascii() else WIDEST_BYTES)
        + MEMBER_BYTES * members
        + OBJECT_BYTES * text.count(b"{")
        + ARRAY_BYTES * text.count(b"[")
    )


def resource_bytes(resource: Resource) -> int:
    parts = (
        resource.spec,
        resource.observed,
        resource.labels or None,
        resource.annotations or None,
    )
    conditions = CONDITION_BYTES * len(resource.conditions)
    return ENVELOPE_BYTES + conditions + footprint(parts)


def event_bytes(event: object) -> int:
    """Of a recorded event; of what could not be decoded, only its address is held."""
    if not isinstance(event, RecordedEvent):
        return ENVELOPE_BYTES
    match event.event:
        case DesiredState(spec=spec, labels=labels, annotations=annotations):
            return ENVELOPE_BYTES + footprint((spec, labels or None, annotations or None))
        case StatusReported(status=status):
            return ENVELOPE_BYTES + footprint(status)
    return ENVELOPE_BYTES
