"""One row of the table `history`: an event, and the resource as it was after it. Pure."""

from datetime import datetime
from typing import NamedTuple

from secaplane.model.position import Position


class HistoryRow(NamedTuple):
    """In the order of COLUMNS."""

    stream: str
    sequence: int
    uid: str
    time: datetime
    type: str
    """As in the log's envelope: `updated`."""
    request: str
    cause: str
    """A position, as text; empty where a caller caused it."""
    actor: str
    """JSON."""
    resource: str
    """JSON of a `Resource`."""

    @property
    def position(self) -> Position:
        return Position(self.stream, self.sequence)

    @property
    def ended(self) -> bool:
        """The resource is gone after it."""
        return self.type in ENDS


COLUMNS = "stream, position, uid, time, type, request, cause, actor, resource"
ENDS = ("deleted", "closed")
WRITES_DESIRED_STATE = ("created", "updated")
