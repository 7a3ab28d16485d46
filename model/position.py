"""Positions in the log: (stream, sequence), opaque outside, comparable only inside one stream.
Pure.

A control plane may have several streams (a stream of global kinds beside a regional one), so a bare
number says nothing. Numbers are compared here and nowhere else.
"""

import re
from collections.abc import Iterable

import msgspec

TEXT = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,19})")
POSITIONS_MAX = 16
"""Streams that one text may speak of."""


class StreamsDiffer(ValueError):
    """Two positions of different streams have no order."""


class Position(msgspec.Struct, frozen=True, array_like=True):
    """The place of one event in one stream. Sequences begin with 1; sequence 0 is before the first
    event of any stream.

    Raises:
        StreamsDiffer: on a comparison with a position of another stream.
    """

    stream: str
    sequence: int

    def __lt__(self, other: "Position") -> bool:
        return self.sequence < _comparable(self, other)

    def __le__(self, other: "Position") -> bool:
        return self.sequence <= _comparable(self, other)

    def __gt__(self, other: "Position") -> bool:
        return self.sequence > _comparable(self, other)

    def __ge__(self, other: "Position") -> bool:
        return self.sequence >= _comparable(self, other)

    def __bool__(self) -> bool:
        """False for BEGINNING alone."""
        return self.sequence > 0

    def __str__(self) -> str:
        return f"{self.stream}:{self.sequence}"

    def moved(self, by: int) -> "Position":
        """The position so many sequences later, or earlier, in the same stream."""
        return position(self.stream, self.sequence + by)


BEGINNING = Position("", 0)
"""Before every event of every stream."""


def position(stream: str, sequence: int) -> Position:
    """A position; BEGINNING where the sequence is 0, so that there is one value for it."""
    return Position(stream, sequence) if sequence else BEGINNING


def parse(text: str) -> Position:
    """A position from its text (`SECA:73`).

    Raises:
        ValueError: not such a text.
    """
    found = TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a position such as SECA:73")
    return position(found[1], int(found[2]))


def parse_all(text: str) -> tuple[Position, ...]:
    """Positions of several streams from one text (`SECA:73,SECA-GLOBAL:9`).

    Raises:
        ValueError: not such a text.
    """
    parts = text.split(",")
    if len(parts) > POSITIONS_MAX:
        raise ValueError(f"at most {POSITIONS_MAX} positions")
    return tuple(parse(part.strip()) for part in parts)


def newest(positions: Iterable[Position]) -> tuple[Position, ...]:
    """The newest position of each stream."""
    found = dict[str, Position]()
    for each in positions:
        if each.sequence and (each.stream not in found or found[each.stream] < each):
            found[each.stream] = each
    return tuple(found.values())


def written(positions: Iterable[Position]) -> str:
    """Positions as one text, the opposite of `parse_all`."""
    return ",".join(map(str, positions))


def _comparable(one: Position, other: Position) -> int:
    if one.stream != other.stream and one.sequence and other.sequence:
        raise StreamsDiffer(f"{one} and {other} are positions of two streams")
    return other.sequence
