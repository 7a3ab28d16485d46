"""Wires the activity log into the processes that answer reads."""

from secaplane.audit.entry_log import EntryLog
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies, pseudonym_key
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.position import BEGINNING, Position
from secaplane.query.activity.read import ActivityDependencies
from secaplane.query.history.read import HistoryDependencies


def activity_dependencies(
    process: ProcessDependencies, config: Config, past: HistoryDependencies
) -> ActivityDependencies:
    entries = EntryLog(process.nats, log_stream=config.nats.stream)
    (stream,) = entries.streams.names

    async def entries_end() -> Position:
        """Without an answer, nothing can be recorded, and what is known counts."""
        try:
            return await entries.end(stream)
        except LogUnavailable:
            return BEGINNING

    return ActivityDependencies(past, entries_end, stream, pseudonym_key(config))
