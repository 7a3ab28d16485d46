"""The contract of a projection, and groups of projections.

A projection turns events into the rows of one table. To add one: write a class that satisfies
`Projection`, put it into a `ProjectionGroup` with its table (`readmodel.schema.group`), and name
the group in `projector/groups.py`, or in an entry point `secaplane.projections` of another
distribution. examples/projection_example.py is a complete one.

A group has its own PostgreSQL schema, layout, checkpoints and quarantine. It is filled from the
beginning of the log, rebuilt and retired on its own; other groups do not notice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncpg import Pool

from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import Tx


class Projection(Protocol):
    """Rows of one table, made from events. It holds no state and reads no clock.

    The rows of a batch are written together with the checkpoint, in one statement: each event is
    projected once, in the order of its stream. The rows after two batches must be the rows after
    one batch of both, because batches are cut anywhere, and differently in a rebuild.
    """

    NAME: str
    """The table's name, and the projection's."""
    CHANGES: Sequence[TableChange]
    """The statements that a batch may become. All of them see the table as it was before the batch,
    and no two may touch the same row."""

    def rows(self, folded: Sequence[ProjectedEvent]) -> Sequence[Sequence[Row]]:
        """The rows of a batch for each of CHANGES. Events are in the order of one stream.

        An exception puts the event that caused it into quarantine; the projector goes on without
        that event's resource.
        """
        ...

    async def forget(self, tx: Tx, ref: Ref) -> None:
        """Undo every event of one resource; its whole history is projected again afterwards."""
        ...


LoadResources = Callable[[Tx | Pool, Sequence[RecordedEvent]], Awaitable[dict[Ref, Resource]]]
"""(connection, the first event of each resource in a batch) -> the resources before the batch."""


@dataclass(frozen=True)
class ProjectionGroup:
    """Projections that are at one position, because their tables are read together.

    They forget a resource in their order, so one that looks up rows of another stands before it.
    """

    tables: TableGroup
    projections: tuple[Projection, ...]
    load: LoadResources | None = None
    """From the group's own rows. None: from the log, which takes longer; enough for a group whose
    events mostly are new resources, or which runs beside a group that folds the same events."""
    of_entries: bool = False
    """The rows are made from the security audit stream, not from the log; there are no projections
    then (`projector.entries`)."""
    linger_s: float = 0.0
    """Seconds to wait for more events before the next small batch, where no caller waits for the
    rows: fewer and larger statements."""

    @property
    def name(self) -> str:
        return self.tables.name
