"""Positions that the log has given to events and lost: holes, found by comparing what is there with
the sequence. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from secaplane.model.position import Position

TEXT = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9]{1,18})(?:-([0-9]{1,18}))?")


class Hole(msgspec.Struct, frozen=True, order=True):
    """Successive positions of a stream that have no event, from `first` to `last`."""

    stream: str
    first: int
    last: int

    def __str__(self) -> str:
        end = f"-{self.last}" if self.last > self.first else ""
        return f"{self.stream}:{self.first}{end}"

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def holds(self, position: Position) -> bool:
        return position.stream == self.stream and self.first <= position.sequence <= self.last


class Acknowledgement(msgspec.Struct, frozen=True):
    """The decision of an operator that a hole stays: what was there is lost."""

    hole: Hole
    by: str
    time: datetime
    reason: str


def parse(text: str) -> Hole:
    """A hole from its text (`SECA:73`, `SECA:73-80`).

    Raises:
        ValueError: the text is malformed.
    """
    match = TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a hole such as SECA:73 or SECA:73-80")
    hole = Hole(match[1], int(match[2]), int(match[3] or match[2]))
    if not 0 < hole.first <= hole.last:
        raise ValueError(f"{text!r} ends before it begins")
    return hole


def between(stream: str, after: int, sequences: Iterable[int]) -> Iterator[Hole]:
    """The holes before each of some sequences, in order, all later than `after`."""
    for sequence in sequences:
        if sequence > after + 1:
            yield Hole(stream, after + 1, sequence - 1)
        after = sequence


def without(hole: Hole, known: Iterable[Hole]) -> list[Hole]:
    """The parts of a hole that no known one covers."""
    left, first = list[Hole](), hole.first
    for each in sorted(each for each in known if each.stream == hole.stream):
        if each.last < first:
            continue
        if each.first > hole.last:
            break
        if each.first > first:
            left.append(Hole(hole.stream, first, each.first - 1))
        first = each.last + 1
    if first <= hole.last:
        left.append(Hole(hole.stream, first, hole.last))
    return left


def unknown(holes: Iterable[Hole], known: Sequence[Hole]) -> list[Hole]:
    """The holes, or parts of them, that no known one covers."""
    return [part for hole in holes for part in without(hole, known)]
