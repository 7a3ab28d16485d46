"""Rows of every projection and their checkpoint in one statement, so in one transaction."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from types import ModuleType

from secaplane.model.shape import Ref
from secaplane.projector.columns import Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.projector.projections import counts, history, labels, links, resources, usage
from secaplane.readmodel.schema.tables import Tx

PROJECTIONS: tuple[ModuleType, ...] = (counts, usage, links, labels, resources, history)
"""A projection is a module with NAME, PARTS (what it does to its table), `rows` (of a batch, for
each of its parts), and `forget` (an address). Named here, because order and ownership matter:
`counts` and `usage` forget what `resources` still knows."""
FIRST_ARRAY = 5

Filled = tuple[TableChange, Sequence[Row]]


def filled(folded: Sequence[ProjectedEvent]) -> list[Filled]:
    """The parts that a batch has rows for: a report has neither labels nor links to change."""
    return [
        (part, rows)
        for each in PROJECTIONS
        for part, rows in zip(each.PARTS, each.rows(folded), strict=True)
        if rows
    ]


def write(parts: Sequence[Filled]) -> str:
    """Moves the checkpoint of $1 from $2 to $3, if it stands there, in the epoch $4 of the
    quarantine; the rows go with it or not at all. Answers how many checkpoints moved."""
    return _written(tuple(_NUMBERS[id(part)] for part, _ in parts))


def arguments(parts: Sequence[Filled]) -> Iterator[Sequence[object]]:
    """An array for each column."""
    for _, rows in parts:
        yield from zip(*rows, strict=True)


async def insert(tx: Tx, folded: Sequence[ProjectedEvent]) -> None:
    """The rows alone."""
    for part, rows in filled(folded):
        await tx.execute(_sql(part, count(1), "true"), *zip(*rows, strict=True))


async def forget(tx: Tx, ref: Ref) -> None:
    for each in PROJECTIONS:
        await each.forget(tx, ref)


_PARTS: tuple[TableChange, ...] = tuple(part for each in PROJECTIONS for part in each.PARTS)
_NUMBERS = {id(part): n for n, part in enumerate(_PARTS)}


@cache
def _written(chosen: tuple[int, ...]) -> str:
    numbers = count(FIRST_ARRAY)
    condition = "exists (select from moved)"
    parts = [f"part_{n} as ({_sql(_PARTS[n], numbers, condition)})" for n in chosen]
    moved = """moved as (
        update checkpoints set position = $3 where stream = $1 and position = $2 and epoch = $4
        returning 1
    )"""
    return f"with {', '.join((moved, *parts))} select count(*) from moved"


def _sql(part: TableChange, numbers: "count[int]", condition: str) -> str:
    names = ", ".join(part.columns)
    arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in part.columns.values())
    return part.sql(f"unnest({arrays}) as rows ({names})", condition)
