"""The statements that a batch becomes: rows to insert, to delete, or to close. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secaplane.model.shape import Resource
from secaplane.projector.folding import ProjectedEvent

Row = tuple[object, ...]


class InsertRows(NamedTuple):
    """Rows to insert, or to update where they exist."""

    table: str
    columns: Mapping[str, str]
    """Each with its type."""
    on_conflict: str = "on conflict do nothing"

    def sql(self, rows: str, condition: str) -> str:
        names = ", ".join(self.columns)
        return f"""
            insert into {self.table} ({names})
            select {names} from {rows} where {condition} {self.on_conflict}
        """


class DeleteRows(NamedTuple):
    """Rows to delete, named by these columns."""

    table: str
    columns: Mapping[str, str]

    def sql(self, rows: str, condition: str) -> str:
        same = " and ".join(f"{self.table}.{name} = rows.{name}" for name in self.columns)
        return f"""
            delete from {self.table} using {rows}
            where {same} and {condition}
        """


class CloseRows(NamedTuple):
    """Rows to close: those that the columns name and that are open get an end."""

    table: str
    columns: Mapping[str, str]
    """The last one holds the end."""
    open: str
    """The end of a row that is open."""

    def sql(self, rows: str, condition: str) -> str:
        *names, end = self.columns
        same = " and ".join(f"{self.table}.{name} = rows.{name}" for name in names)
        return f"""
            update {self.table} set {end} = rows.{end} from {rows}
            where {same} and {self.table}.{end} = {self.open} and {condition}
        """


TableChange = InsertRows | DeleteRows | CloseRows


class ResourceChange(NamedTuple):
    """A resource before a batch and after it."""

    before: Resource | None
    after: Resource


def addresses(folded: Sequence[ProjectedEvent]) -> list[ResourceChange]:
    """The change of each address. Its name may have been used again in the batch."""
    first = {each.event.ref: each.before for each in reversed(folded)}
    last = {each.event.ref: each.resource for each in folded}
    return [ResourceChange(first[ref], after) for ref, after in last.items()]


def lives(folded: Sequence[ProjectedEvent]) -> list[ResourceChange]:
    """The change of each life; `before` is None for a life that began in the batch."""
    first = {each.resource.life: each.before for each in reversed(folded)}
    last = {each.resource.life: each.resource for each in folded}
    return [
        ResourceChange(before if before is not None and before.life == life else None, last[life])
        for life, before in first.items()
    ]
