"""Rows of every projection and their checkpoint in one statement, so in one transaction."""

from collections.abc import Sequence
from functools import cache
from itertools import count
from types import ModuleType

from projector import history, resources
from projector.resources import Folded

PROJECTIONS: tuple[ModuleType, ...] = (resources, history)
"""A projection is a module with NAME (its table's, too), COLUMNS with their types, ON_CONFLICT, and
`rows`. Named here, because order and ownership matter."""


@cache
def write() -> str:
    """Moves the checkpoint of $1 from $2 to $3, if it stands there, in the epoch $4 of the
    quarantine; the rows go with it or not at all. Answers how many checkpoints moved."""
    numbers = count(5)
    parts = ",\n".join(_part(projection, numbers) for projection in PROJECTIONS)
    return f"""
    with moved as (
        update checkpoints set position = $3 where stream = $1 and position = $2 and epoch = $4
        returning 1
    ),
    {parts}
    select count(*) from moved
    """


def arguments(folded: Sequence[Folded]) -> list[Sequence[object]]:
    """An array for each column of each projection."""
    return [column for each in PROJECTIONS for column in _columns(each, each.rows(folded))]


def insert(projection: ModuleType) -> str:
    """The rows of one projection alone."""
    return _insert(projection, count(1), "")


def insert_arguments(projection: ModuleType, folded: Sequence[Folded]) -> list[Sequence[object]]:
    return _columns(projection, projection.rows(folded))


def _part(projection: ModuleType, numbers: "count[int]") -> str:
    condition = "where exists (select from moved)"
    return f"{projection.NAME}_rows as ({_insert(projection, numbers, condition)})"


def _insert(projection: ModuleType, numbers: "count[int]", condition: str) -> str:
    names = ", ".join(projection.COLUMNS)
    arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in projection.COLUMNS.values())
    values = names.replace("labels", "labels::jsonb")
    return f"""
        insert into {projection.NAME} ({names})
        select {values} from unnest({arrays}) as rows ({names}) {condition} {projection.ON_CONFLICT}
    """


def _columns(projection: ModuleType, rows: Sequence[Sequence[object]]) -> list[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * len(projection.COLUMNS)
