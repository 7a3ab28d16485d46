"""Rows compared in the order of their keys, and what is said of those that differ."""

from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest

from secaplane.projector.replay.comparison import (
    Difference,
    Part,
    Row,
    Tally,
    differences,
    explained,
)

ROWS = 500
LARGEST_PART = 7


def row(number: int, text: str = "") -> Row:
    return (number,), f"{number}{text}".encode()


async def in_parts(rows: Sequence[Row], random: Random) -> AsyncIterator[Part]:
    rest = list(rows)
    while rest:
        size = random.randint(1, LARGEST_PART)
        yield rest[:size]
        rest = rest[size:]


async def compared(
    live: Sequence[Row], replayed: Sequence[Row], random: Random
) -> tuple[list[Difference], Tally]:
    tally = Tally()
    found = differences(in_parts(live, random), in_parts(replayed, random), tally)
    return [each async for each in found], tally


@pytest.mark.parametrize("seed", range(20))
async def test_every_difference_is_found_however_rows_arrive(seed: int) -> None:
    random = Random(seed)
    replayed = [row(n) for n in sorted(random.sample(range(10 * ROWS), ROWS))]
    missing, changed, foreign = (
        set(random.sample(range(ROWS), number)) for number in (seed, seed // 2, seed)
    )
    live = [
        row(key[0], "changed" if n in changed else "")
        for n, (key, _) in enumerate(replayed)
        if n not in missing
    ]
    known = {key for key, _ in replayed}
    more = [(n,) for n in foreign if (n,) not in known]
    live = sorted([*live, *(row(*key) for key in more)])
    expected = sorted(
        [Difference(key, live=True, replayed=False) for key in more]
        + [Difference(replayed[n][0], live=False, replayed=True) for n in missing]
        + [Difference(replayed[n][0], live=True, replayed=True) for n in changed - missing]
    )
    found, tally = await compared(live, replayed, random)
    assert found == expected
    assert tally.rows == len(live)


async def test_rows_without_a_key_of_their_own_are_counted_one_by_one() -> None:
    """A table without a primary key: the row is its key, and may be there twice."""
    found, _ = await compared([row(1), row(1), row(2)], [row(1), row(2), row(2)], Random(1))
    assert found == [
        Difference((1,), live=True, replayed=False),
        Difference((2,), live=False, replayed=True),
    ]


async def test_a_digest_depends_on_the_rows_alone() -> None:
    rows, random = [row(n) for n in range(ROWS)], Random(1)
    digests = {(await compared(rows, rows, random))[1].digest for _ in range(5)}
    assert len(digests) == 1
    assert (await compared(rows[1:], rows, random))[1].digest not in digests


@pytest.mark.parametrize(
    ("live", "replayed", "line"),
    [
        (None, {"a": 1}, "missing: the log gives such a row"),
        ({"a": 1}, None, "foreign: the log gives no such row"),
        ({"a": 1, "b": 2}, {"a": 3, "b": 2}, "a is 1, and 3 by the log"),
        ({"a": '{"s":[1,{"x":2}]}'}, {"a": '{"s":[1,{"x":3}]}'}, "a/s/1/x is 2, and 3 by the log"),
        ({"a": "{}"}, {"a": '{"x":"é"}'}, 'a/x is absent, and "é" by the log'),
        ({"a": '{"x":null}'}, {"a": "{}"}, "a/x is null, and absent by the log"),
        ({"a": "[1]"}, {"a": "[1,2]"}, "a is [1], and [1,2] by the log"),
        ({"a": '{"x":1}'}, {"a": '{"x": 1}'}, "its JSON is written in another way"),
        ({"a": "{not"}, {"a": "{}"}, 'a is "{not", and {} by the log'),
    ],
)
def test_a_line_says_how_a_row_differs(
    live: dict[str, object] | None, replayed: dict[str, object] | None, line: str
) -> None:
    assert explained(live, replayed) == line


def test_a_line_is_bounded() -> None:
    live: dict[str, object] = {f"c{n}": "x" * 1000 for n in range(100)}
    line = explained(live, dict.fromkeys(live, 0))
    assert len(line) < 2000
    assert line.endswith("; and 90 more values")
