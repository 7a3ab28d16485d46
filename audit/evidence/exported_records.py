"""The messages of an exported stream as records, in the order of their positions."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from itertools import zip_longest

from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.siem.records import SiemRecord, gap, is_entry, record, records
from secaplane.audit.tenant_export.folder import TenantRecord, tenant_records
from secaplane.audit.tlog.tiles import WIDTH
from secaplane.eventlog.log import Followed, RawEvent
from secaplane.model.position import Position

OpenEvents = Callable[[Sequence[RawEvent]], Awaitable[Sequence[Followed]]]
"""Stored events of one stream -> the events, with contents and callers opened."""


async def exported_records(
    export: ExportFolder, size: int, open_events: OpenEvents
) -> AsyncIterator[SiemRecord]:
    """The records of the first `size` positions of a stream, bundle by bundle; those that the
    export declares lost are records of the type `gap`.

    Raises:
        TilesDiffer: a file of events is missing or malformed.
    """
    stream, after = export.folder.name, 0
    for number in range(bundles(size)):
        batch = [
            RawEvent(Position(stream, number * WIDTH + place), event.subject, {}, event.data)
            for place, event in enumerate(export.events(number), 1)
            if event is not None
        ]
        opened = () if batch and is_entry(batch[0]) else await open_events(batch)
        for each in records(batch, after, opened):
            yield each
        after = batch[-1].position.sequence if batch else after
    if after < size:
        yield gap(stream, after + 1, size)


async def exported_tenant_records(
    export: ExportFolder, size: int, open_events: OpenEvents
) -> AsyncIterator[SiemRecord]:
    """The same of the export of one tenant, whose events have other positions between them.

    Raises:
        TilesDiffer: a file of events is malformed.
    """
    for number in range(bundles(size)):
        batch = [_raw(export, each) for each in tenant_records(export, number)]
        opened = () if not batch or is_entry(batch[0]) else await open_events(batch)
        for raw, event in zip_longest(batch, opened):
            yield record(raw, event)


def _raw(export: ExportFolder, record: TenantRecord) -> RawEvent:
    return RawEvent(Position(export.folder.name, record.sequence), record.subject, {}, record.data)
