"""Two tables compared row by row, in the order of their keys: those of the live read model and
those that the log gives. Pure."""

import hashlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from secaplane.model.pointer import pointer_to

Key = tuple[Any, ...]
Row = tuple[Key, bytes]
"""A row's key, and the digest of the whole row."""
Part = Sequence[Row]
VALUE_LENGTH_MAX = 80
"""Characters of a value that are shown."""
VALUES_MAX = 10
"""Values that are shown of one row."""
ABSENT = object()
"""A member that one of two documents lacks."""


class Difference(NamedTuple):
    """A key whose rows are not the same."""

    key: Key
    live: bool
    """The live table has a row with it."""
    replayed: bool


class Tally:
    """Rows of the live table that were compared, and one digest of all of them in the order of
    their keys: the same for two tables with the same rows, wherever they are."""

    def __init__(self) -> None:
        self.rows = 0
        self._digest = hashlib.sha256()

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += len(rows)
        for _, digest in rows:
            self._digest.update(digest)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()


async def differences(
    live: AsyncIterator[Part], replayed: AsyncIterator[Part], tally: Tally
) -> AsyncIterator[Difference]:
    """The keys whose rows differ. Both sides arrive in parts, ordered by key; one part of each is
    held."""
    ours, theirs = Ahead(live), Ahead(replayed)
    while await ours.arrived() | await theirs.arrived():
        number = min(len(ours.rows), len(theirs.rows))
        if number and ours.rows[:number] == theirs.rows[:number]:
            tally.add(ours.taken(number))
            theirs.taken(number)
            continue
        mine, other = ours.first, theirs.first
        if mine is not None and other is not None and mine[0] == other[0]:
            tally.add(ours.taken(1))
            theirs.taken(1)
            if mine != other:
                yield Difference(mine[0], live=True, replayed=True)
        elif other is None or (mine is not None and mine[0] < other[0]):
            tally.add(ours.taken(1))
            assert mine is not None, "one of both sides has a row"
            yield Difference(mine[0], live=True, replayed=False)
        else:
            theirs.taken(1)
            yield Difference(other[0], live=False, replayed=True)


class Ahead:
    """The rows of one side that have arrived and were not compared yet."""

    def __init__(self, parts: AsyncIterator[Part]) -> None:
        self._parts = parts
        self.rows: list[Row] = []

    async def arrived(self) -> bool:
        """Waits for rows; False where there are no more."""
        while not self.rows:
            part = await anext(self._parts, None)
            if part is None:
                return False
            self.rows = list(part)
        return True

    @property
    def first(self) -> Row | None:
        return self.rows[0] if self.rows else None

    def taken(self, number: int) -> Sequence[Row]:
        taken, self.rows = self.rows[:number], self.rows[number:]
        return taken


# --- what differs in a row


def explained(live: Mapping[str, Any] | None, replayed: Mapping[str, Any] | None) -> str:
    """One line on how a row of the live table differs from the one that the log gives."""
    if live is None:
        return "missing: the log gives such a row"
    if replayed is None:
        return "foreign: the log gives no such row"
    found = [
        f"{pointer.removeprefix('/')} is {_shown(mine)}, and {_shown(other)} by the log"
        for pointer, mine, other in _unlike(_parsed(live), _parsed(replayed), ())
    ]
    more = [f"and {len(found) - VALUES_MAX} more values"] if len(found) > VALUES_MAX else []
    return "; ".join([*found[:VALUES_MAX], *more]) or "its JSON is written in another way"


def _parsed(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row, with columns that hold JSON as text decoded."""
    return {name: _json(value) for name, value in row.items()}


def _json(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _unlike(mine: Any, other: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, Any, Any]]:
    """The values that differ, each with its pointer, as deep as both have the same structure."""
    if isinstance(mine, dict) and isinstance(other, dict):
        for name in sorted(mine.keys() | other.keys()):
            one, another = mine.get(name, ABSENT), other.get(name, ABSENT)
            yield from _unlike(one, another, (*path, name))
    elif isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
        for number, (one, another) in enumerate(zip(mine, other, strict=True)):
            yield from _unlike(one, another, (*path, number))
    elif mine is ABSENT or other is ABSENT or mine != other:
        yield pointer_to(path), mine, other


def _shown(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= VALUE_LENGTH_MAX else f"{text[:VALUE_LENGTH_MAX]}..."
