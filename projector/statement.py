"""The rows of a group and its checkpoint in one statement, so in one transaction
(docs/decisions/011)."""

from collections.abc import Iterator, Sequence
from itertools import count

from secaplane.model.shape import Ref
from secaplane.projector.columns import Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.projector.projection import Projection
from secaplane.readmodel.schema.tables import Tx

FIRST_ARRAY = 5

Filled = tuple[TableChange, Sequence[Row]]
"""A change of a table, and its rows."""


class GroupStatement:
    """The statements of one group. Their text is the same for all batches with rows for the same
    changes, so PostgreSQL parses and plans each text once."""

    def __init__(self, projections: Sequence[Projection]) -> None:
        self._projections = projections
        changes = [change for each in projections for change in each.CHANGES]
        self._numbers = {id(change): n for n, change in enumerate(changes)}
        self._texts: dict[tuple[int, ...], str] = {}

    def filled(self, folded: Sequence[ProjectedEvent]) -> list[Filled]:
        """The changes for which a batch has rows: a report, for example, changes no labels."""
        return [
            (change, rows)
            for each in self._projections
            for change, rows in zip(each.CHANGES, each.rows(folded), strict=True)
            if rows
        ]

    def write(self, filled: Sequence[Filled]) -> str:
        """SQL that moves the checkpoint of $1 from $2 to $3, if it is there and the quarantine's
        epoch is $4, and writes the rows with it. It answers how many checkpoints were moved."""
        chosen = tuple(self._numbers[id(change)] for change, _ in filled)
        if chosen not in self._texts:
            self._texts[chosen] = written([change for change, _ in filled])
        return self._texts[chosen]

    async def insert(self, tx: Tx, folded: Sequence[ProjectedEvent]) -> None:
        """The rows alone."""
        for change, rows in self.filled(folded):
            await tx.execute(_sql(change, count(1), "true"), *zip(*rows, strict=True))

    async def forget(self, tx: Tx, ref: Ref) -> None:
        for each in self._projections:
            await each.forget(tx, ref)


def arguments(filled: Sequence[Filled]) -> Iterator[Sequence[object]]:
    """An array for each column."""
    for _, rows in filled:
        yield from zip(*rows, strict=True)


def written(changes: Sequence[TableChange]) -> str:
    """The text of `GroupStatement.write` for some changes."""
    numbers = count(FIRST_ARRAY)
    condition = "exists (select from moved)"
    parts = [
        f"part_{n} as ({_sql(change, numbers, condition)})" for n, change in enumerate(changes)
    ]
    moved = """moved as (
        update checkpoints set position = $3 where stream = $1 and position = $2 and epoch = $4
        returning 1
    )"""
    return f"with {', '.join((moved, *parts))} select count(*) from moved"


def _sql(change: TableChange, numbers: "count[int]", condition: str) -> str:
    names = ", ".join(change.columns)
    arrays = ", ".join(f"${next(numbers)}::{type_}[]" for type_ in change.columns.values())
    return change.sql(f"unnest({arrays}) as rows ({names})", condition)
