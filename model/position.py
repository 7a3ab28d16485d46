"""Positions in the log: (stream, sequence), opaque for clients, ordered within one stream. Pure.

A control plane may have several streams (a stream of global kinds beside a regional one), so a bare
number identifies no event. Sequences are compared here and nowhere else.
"""

import re
from collections.abc import Iterable

import msgspec

TEXT = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,19})")
POSITIONS_MAX = 16
"""Limit of the positions in one text, one for each stream."""


class StreamsDiffer(ValueError):
    """Positions of different streams were compared; they have no order."""


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
        """The position `by` sequences later in the same stream; earlier if `by` is negative."""
        return position(self.stream, self.sequence + by)


BEGINNING = Position("", 0)
"""Before the first event of every stream."""


def position(stream: str, sequence: int) -> Position:
    """A position; for sequence 0 always BEGINNING, so that equal positions are equal values."""
    return Position(stream, sequence) if sequence else BEGINNING


def parse(text: str) -> Position:
    """A position from its text (`SECA:73`).

    Raises:
        ValueError: the text is malformed.
    """
    match = TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a position such as SECA:73")
    return position(match[1], int(match[2]))


def parse_all(text: str) -> tuple[Position, ...]:
    """Positions of several streams from one text (`SECA:73,SECA-GLOBAL:9`).

    Raises:
        ValueError: the text is malformed.
    """
    parts = text.split(",")
    if len(parts) > POSITIONS_MAX:
        raise ValueError(f"at most {POSITIONS_MAX} positions")
    return tuple(parse(part.strip()) for part in parts)


def newest(positions: Iterable[Position]) -> tuple[Position, ...]:
    """The newest position of each stream."""
    by_stream = dict[str, Position]()
    for each in positions:
        if each.sequence and (each.stream not in by_stream or by_stream[each.stream] < each):
            by_stream[each.stream] = each
    return tuple(by_stream.values())


def written(positions: Iterable[Position]) -> str:
    """Positions as one text: the inverse of `parse_all`."""
    return ",".join(map(str, positions))


def _comparable(one: Position, other: Position) -> int:
    if one.stream != other.stream and one.sequence and other.sequence:
        raise StreamsDiffer(f"{one} and {other} are positions of two streams")
    return other.sequence
