"""What a projection does to its table: the parts of the one statement that a batch becomes."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from secaplane.model.shape import Resource
from secaplane.projector.folding import ProjectedEvent

Row = tuple[object, ...]


class InsertRows(NamedTuple):
    """Rows that come."""

    table: str
    columns: Mapping[str, str]
    """Each with its type."""
    on_conflict: str = "on conflict do nothing"

    def sql(self, rows: str, condition: str) -> str:
        names = ", ".join(self.columns)
        values = names.replace("labels", "labels::jsonb")
        return f"""
            insert into {self.table} ({names})
            select {values} from {rows} where {condition} {self.on_conflict}
        """


class DeleteRows(NamedTuple):
    """Rows that go, named by these columns."""

    table: str
    columns: Mapping[str, str]

    def sql(self, rows: str, condition: str) -> str:
        same = " and ".join(f"{self.table}.{name} = rows.{name}" for name in self.columns)
        return f"""
            delete from {self.table} using {rows}
            where {same} and {condition}
        """


class CloseRows(NamedTuple):
    """Rows that end and stay: those of what the columns name that are still open."""

    table: str
    columns: Mapping[str, str]
    """The last says when they end."""
    open: str

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
    """What a batch did to each address. Names may have been used again meanwhile."""
    first = {each.event.ref: each.before for each in reversed(folded)}
    last = {each.event.ref: each.resource for each in folded}
    return [ResourceChange(first[ref], after) for ref, after in last.items()]


def lives(folded: Sequence[ProjectedEvent]) -> list[ResourceChange]:
    """What a batch did to each life; one that began in it was not before."""
    first = {each.resource.life: each.before for each in reversed(folded)}
    last = {each.resource.life: each.resource for each in folded}
    return [
        ResourceChange(before if before is not None and before.life == life else None, last[life])
        for life, before in first.items()
    ]
