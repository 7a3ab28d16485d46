"""Writes the export of one tenant, file by file: memory holds one part of one bundle, however long
the history is."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple, Protocol

from secaplane.audit.entries import HEADS_SUBJECT
from secaplane.audit.heads.offer import OfferedHead, OfferedHeads
from secaplane.audit.notary.leaves import CommitmentChain, facts_of
from secaplane.audit.tenant_export.folder import (
    PART_BYTES,
    TENANT_PATH,
    VERSION,
    TenantFacts,
    TenantRecord,
    joined_records,
    records_path,
)
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, WIDTH, TileName, tiles_of
from secaplane.eventlog.log import RawEvent


class TenantSource(Protocol):
    """The notary and the log, as an export reads them."""

    async def tile(self, stream: str, name: TileName) -> bytes:
        """A tile of hashes."""
        ...

    def events(self, stream: str) -> AsyncGenerator[Sequence[RawEvent], None]:
        """The events of a stream at the addresses of the tenant, in order; all of them at least
        once they have been waited for. Others among them are ignored."""
        ...


class ExportedFile(NamedTuple):
    path: str
    data: bytes


async def exported_files(
    life: str,
    offer: OfferedHeads,
    audit: str,
    source: TenantSource,
    seen: Mapping[str, Sequence[int]],
) -> AsyncGenerator[ExportedFile, None]:
    """The files of an export. `audit`: the name of the audit stream; `seen`: the sizes of
    checkpoints, by stream, with which the auditor wants to compare."""
    facts = TenantFacts(VERSION, life, offer.entry.sequence, audit, offer.heads)
    yield ExportedFile(TENANT_PATH, facts.written)
    for head in offer.heads:
        stream = _StreamExport(life, offer, head, source)
        entry = offer.entry.sequence if head.stream == audit else 0
        async with aclosing(stream.files(entry, seen.get(head.stream, ()))) as files:
            async for path, data in files:
                yield ExportedFile(f"{head.stream}/{path}", data)


class _StreamExport:
    """The export of one stream."""

    def __init__(
        self, life: str, offer: OfferedHeads, head: OfferedHead, source: TenantSource
    ) -> None:
        self._life, self._head, self._source = life, head, source
        self._entry, self._checkpoint = offer.entry, offer.checkpoints[head.stream]
        self._size = parse_checkpoint(self._checkpoint).head.size
        self._tiles = set[int]()
        """Numbers of the tiles of level 0 that the export needs: at most one for 256 events."""
        self._taken = 0
        """The number of the tenant's last event that was read."""

    async def files(
        self, entry: int, seen: Sequence[int]
    ) -> AsyncGenerator[tuple[str, bytes], None]:
        """`entry`: the sequence of the entry about heads, 0 where this is not its stream."""
        yield CHECKPOINT_PATH, self._checkpoint
        at, part = -1, 0
        async with aclosing(self._parts(entry)) as parts:
            async for records in parts:
                number = (records[0].sequence - 1) // WIDTH
                at, part = number, part + 1 if number == at else 0
                yield records_path(number, part), joined_records(records)
                self._tiles.add(number)
        self._tiles |= {self._size // WIDTH, *(each // WIDTH for each in seen)}
        for name in tiles_of(self._size):
            if name.level >= 1 or (name.level == 0 and name.number in self._tiles):
                yield name.path, await self._source.tile(self._head.stream, name)

    async def _parts(self, entry: int) -> AsyncGenerator[list[TenantRecord], None]:
        """The records, divided by bundles, and where they are many bytes."""
        held, held_bytes = list[TenantRecord](), 0
        async with aclosing(self._records(entry)) as records:
            async for each in records:
                other = held and (held[0].sequence - 1) // WIDTH != (each.sequence - 1) // WIDTH
                if other or held_bytes > PART_BYTES:
                    yield held
                    held, held_bytes = [], 0
                held.append(each)
                held_bytes += len(each.data)
        if held:
            yield held

    async def _records(self, entry: int) -> AsyncGenerator[TenantRecord, None]:
        chain = CommitmentChain(self._head.stream)
        async with aclosing(self._source.events(self._head.stream)) as batches:
            while self._taken < self._head.number:
                batch = await anext(batches, None)
                if batch is None:
                    break
                for each in batch:
                    own = facts_of(each.data).life == self._life
                    if own and self._taken < self._head.number:
                        placed = chain.commit(each.position.sequence, each.subject, each.data)
                        self._taken = placed.number
                        yield TenantRecord(
                            each.position.sequence,
                            placed.number,
                            placed.previous,
                            each.subject,
                            each.data,
                        )
        if entry:
            recorded = self._entry
            place = entry, recorded.number, recorded.previous
            yield TenantRecord(*place, HEADS_SUBJECT, recorded.data)
