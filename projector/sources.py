"""The streams that each group is made from, and the projector that makes its rows."""

from dataclasses import dataclass
from typing import cast

from asyncpg import Pool

from secaplane.audit.entry_log import EntryLog
from secaplane.eventlog.log import Log
from secaplane.projector.entries.entry_projector import EntryProjector
from secaplane.projector.projection import ProjectionGroup
from secaplane.projector.run import Projector
from secaplane.projector.shared_stream import SharedStream
from secaplane.readmodel.announcements import Announcer


@dataclass(frozen=True)
class Sources:
    """The streams from which a process makes rows."""

    log: Log
    entries: EntryLog | None = None
    """None: no group of entries is made."""

    def of(self, group: ProjectionGroup) -> Log:
        """The log; or the security audit stream, which answers what projectors ask of a log, and
        whose batches `EntryProjector` alone gets."""
        return cast(Log, self.entries) if group.of_entries else self.log


def projector_of(
    group: ProjectionGroup, pool: Pool, stream: SharedStream, announcer: Announcer, region: str
) -> Projector:
    made = EntryProjector if group.of_entries else Projector
    return made(group, pool, stream, announcer, region)
