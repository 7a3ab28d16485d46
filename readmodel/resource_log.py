"""The log as the read side may ask it: one resource at a time, after the request was authorized.

A port: the process wires it to the log (`cli.processes.resource_log`), so that `query` does not
import `eventlog`.
"""

from typing import Protocol

import msgspec

from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource


class NewestEvent(msgspec.Struct, frozen=True):
    """The newest event of one address."""

    position: Position
    """BEGINNING where there is none."""
    living: bool
    """False where there is none, or it ended the life that it belongs to."""


class ResourceLog(Protocol):
    async def newest(self, ref: Ref, *, known: Position) -> NewestEvent:
        """The newest event of a resource, from a log that has reached the position `known`: an
        answer of a server that lags behind it decides nothing, and is asked for again.

        Raises:
            Unavailable: no such answer came in time.
            Damaged: the event cannot be decoded.
        """
        ...

    async def resource(self, ref: Ref) -> Resource | None:
        """The resource as `evolve` makes it of all its events; None if it has none.

        Raises:
            Unavailable: the log did not answer.
            Damaged: one of the events cannot be decoded or applied.
        """
        ...

    def cached(self, ref: Ref) -> Resource | None:
        """The resource as this process last read or wrote it, perhaps older than the log."""
        ...
