"""Verification of the export of one tenant, offline.

The entry about heads is in the log of the audit stream, so its root of heads is what was signed.
The records of each stream are in its log, their numbers run without gap, each names the commitment
before, and the last one is the head of the life: then no event up to the entry is left out.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from secaplane.audit.entries import HEADS_SUBJECT, HeadsFacts, decode
from secaplane.audit.heads.offer import OfferedHead
from secaplane.audit.heads.tree import head_text, life_hash
from secaplane.audit.merkle.hashing import leaf_hash
from secaplane.audit.merkle.proofs import WrongProof
from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.notary.leaves import (
    FIRST_PREVIOUS,
    LeafEntry,
    LifeHead,
    commitment,
    digest,
    facts_of,
)
from secaplane.audit.notary.notary_log import HistoryChanged, HowChanged
from secaplane.audit.notary.verification import AuthenticatedTiles
from secaplane.audit.notary.verified_export import (
    FOREIGN_MAX,
    SAVED_BUNDLES,
    Saved,
    TrustedFacts,
    VerifiedProgress,
    VerifiedStream,
    trusted_head,
)
from secaplane.audit.tenant_export.folder import (
    TENANT_BYTES_MAX,
    TENANT_PATH,
    TenantFacts,
    TenantRecord,
    head_proof,
    parse_tenant,
    tenant_records,
)
from secaplane.audit.tlog.checkpoints import TreeHead
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import ENTRIES, WIDTH, TileName, TilesDiffer
from secaplane.audit.tlog.tiles import tile_name as parse_tile_name
from secaplane.eventlog.codec import Undecodable

_NO_HEAD = LifeHead(0, FIRST_PREVIOUS, b"")


class WrongRecord(Exception):
    """The first event of the tenant in a stream that is wrong, by its number."""

    def __init__(self, stream: str, number: int, how: HowChanged, detail: str) -> None:
        super().__init__(f"{stream}: number {number} is {how}: {detail}")


class VerifiedTenant(NamedTuple):
    """The result: the life, the entry up to which the export is complete, and what is wrong."""

    life: str
    entry: str
    """Its position and time; empty where it is not shown."""
    streams: list[VerifiedStream]
    findings: list[str]
    unseen: list[str]


class _Entry(NamedTuple):
    heads: HeadsFacts
    time: datetime


def verify_tenant(
    folder: Path, trusted: TrustedFacts, *, progress: Mapping[str, VerifiedProgress], save: Saved
) -> VerifiedTenant:
    """Verify the export of one tenant."""
    result = VerifiedTenant("", "", [], [], [])
    try:
        facts = parse_tenant(_top(folder))
    except TilesDiffer as error:
        return result._replace(findings=[str(error)])
    result = result._replace(life=facts.life)
    streams = dict[str, _TenantStream]()
    for head in facts.heads:
        stream = _TenantStream(folder / head.stream, facts, head)
        if head.stream in streams or not stream.open(trusted, result):
            return result
        streams[head.stream] = stream
    result.findings.extend(_foreign_above(folder, {*streams}))
    try:
        entry = _entry(facts, streams, trusted)
        if {*streams} != {*entry.heads.streams}:
            raise HeadsDiffer("the export is not of the streams that the heads are about")
        result = result._replace(entry=f"{facts.heads_stream}:{facts.heads_sequence}")
        result = result._replace(entry=f"{result.entry}, {entry.time.isoformat()}")
    except (HeadsDiffer, WrongRecord, HistoryChanged) as error:
        result.findings.append(str(error))
        return result
    for stream in streams.values():
        stream.verify(entry.heads, progress, save, result)
    if not result.findings:
        _compare_heads(facts, streams, entry.heads, result)
    return result


class HeadsDiffer(Exception):
    """The entry about heads is not shown, or not what the export says."""


def _entry(
    facts: TenantFacts, streams: Mapping[str, "_TenantStream"], trusted: TrustedFacts
) -> _Entry:
    """The entry about heads, which the log of the audit stream holds.

    Raises:
        HeadsDiffer, HistoryChanged.
    """
    place = f"{facts.heads_stream}:{facts.heads_sequence}"
    if facts.heads_stream not in streams:
        raise HeadsDiffer(f"{place}: the export has no such stream")
    record = streams[facts.heads_stream].heads_record()
    if record is None or record.subject != HEADS_SUBJECT:
        raise HeadsDiffer(f"{place} is missing: it is the entry about heads")
    try:
        entry = decode(record.data)
    except Undecodable as error:
        raise HeadsDiffer(f"{place} is changed: {error}") from error
    if not isinstance(entry.heads, HeadsFacts):
        raise HeadsDiffer(f"{place} is no entry about heads")
    if entry.time.timestamp() < trusted.cosigned_after:
        raise HeadsDiffer(f"{place}: the heads are of {entry.time.isoformat()}, which is too old")
    return _Entry(entry.heads, entry.time)


def _compare_heads(
    facts: TenantFacts,
    streams: Mapping[str, "_TenantStream"],
    heads: HeadsFacts,
    result: VerifiedTenant,
) -> None:
    """The last event of each stream is the head of the life. The salt is that of the first stream,
    by name, that has an event."""
    reached = {name: streams[name].reached for name in sorted(streams)}
    salt = next((each.salt for each in reached.values() if each.number), b"")
    life = life_hash(facts.life, salt)
    for head in facts.heads:
        last = reached[head.stream]
        text = head_text(life, head.stream, last.number, last.commitment)
        try:
            head_proof(head, heads.size).verify(text, heads.root)
        except WrongProof as error:
            following = last.number + 1
            detail = f"the last event of the export is not the head of the tenant ({error})"
            result.findings.append(str(WrongRecord(head.stream, following, "cut", detail)))


class _TenantStream:
    """The part of an export that is of one stream."""

    def __init__(self, folder: Path, facts: TenantFacts, head: OfferedHead) -> None:
        self.stream, self._export = folder.name, ExportFolder(folder)
        self._facts, self._stated = facts, head
        self._head: TreeHead | None = None
        self._tiles: AuthenticatedTiles | None = None
        self._sequence = 0
        self.reached = _NO_HEAD
        """The last event of the tenant that was verified, and the salt of its first one."""

    def open(self, trusted: TrustedFacts, result: VerifiedTenant) -> bool:
        """Check the checkpoint and what the verifier has seen before; False where nothing of the
        stream can be trusted."""
        try:
            head = self._head = trusted_head(self._export, trusted)
            result.streams.append(VerifiedStream(self.stream, head, 0, []))
            tiles = self._tiles = AuthenticatedTiles(self._export.read, head, self.stream)
            for seen in trusted.seen:
                if seen.origin == head.origin:
                    self._compare(tiles, seen, result)
        except (WrongNote, HistoryChanged) as error:
            result.findings.append(f"{self.stream}: {error}")
            return False
        return True

    def _compare(self, tiles: AuthenticatedTiles, seen: TreeHead, result: VerifiedTenant) -> None:
        number, within = divmod(seen.size, WIDTH)
        if seen.size < tiles.head.size and within:
            name = TileName(0, number, min(WIDTH, tiles.head.size - number * WIDTH))
            if not (self._export.folder / name.path).is_file():
                result.unseen.append(
                    f"without {name.path} of {self.stream}, the checkpoint of {seen.size} events "
                    f"cannot be compared: export with --seen {self.stream}:{seen.size}"
                )
                return
        tiles.refuse_another_beginning(seen)

    def heads_record(self) -> TenantRecord | None:
        """The entry about heads, compared with its leaf."""
        sequence = self._facts.heads_sequence
        assert self._head is not None
        if not 1 <= sequence <= self._head.size:
            return None
        for record in self._records((sequence - 1) // WIDTH):
            if record.sequence == sequence:
                self._compare_leaf(record)
                return record
        return None

    def verify(
        self,
        heads: HeadsFacts,
        progress: Mapping[str, VerifiedProgress],
        save: Saved,
        result: VerifiedTenant,
    ) -> None:
        """Compare every record, then every file that is left."""
        assert self._head is not None
        head, key = self._head, f"{self._head.origin} {self._facts.life}"
        try:
            before = progress.get(key)
            if before is None or before.root != head.root:
                before = VerifiedProgress(key, head.root, 0, {}, 0, 0)
            self.reached = before.lives.get(self._facts.life, _NO_HEAD)
            for number in range(before.bundles, bundles(head.size)):
                for record in self._records(number):
                    self._take(record, number, heads.streams[self.stream])
                if number % SAVED_BUNDLES == SAVED_BUNDLES - 1:
                    lives = {self._facts.life: self.reached}
                    save([VerifiedProgress(key, head.root, number + 1, lives, 0, 0)])
            if self.reached.number < self._stated.number:
                detail = f"the head of the tenant is number {self._stated.number}"
                raise WrongRecord(self.stream, self.reached.number + 1, "cut", detail)
            if self.reached.number > self._stated.number:
                detail = f"{TENANT_PATH} names number {self._stated.number} as the head"
                raise WrongRecord(self.stream, self._stated.number + 1, "inserted", detail)
            result.findings.extend(self._other_files(head.size))
        except (WrongRecord, HistoryChanged) as error:
            result.findings.append(str(error))
        place = next(at for at, each in enumerate(result.streams) if each.stream == self.stream)
        result.streams[place] = result.streams[place]._replace(events=self.reached.number)

    def _records(self, number: int) -> Iterator[TenantRecord]:
        try:
            yield from tenant_records(self._export, number)
        except TilesDiffer as error:
            following = self.reached.number + 1
            raise WrongRecord(self.stream, following, "changed", str(error)) from error

    def _take(self, record: TenantRecord, bundle: int, size: int) -> None:
        place, expected = f"{self.stream}:{record.sequence}", self.reached.number + 1
        if place == f"{self._facts.heads_stream}:{self._facts.heads_sequence}":
            return
        facts, how, detail = facts_of(record.data), "", ""
        if facts.life != self._facts.life:
            how, detail = "inserted", f"{place} is not of this tenant"
        elif record.number > expected:
            how, detail = "missing", f"{place} is number {record.number}"
        elif record.number < expected or not self._sequence < record.sequence <= size:
            how, detail = "inserted", f"{place} is number {record.number}, out of order"
        elif (record.sequence - 1) // WIDTH != bundle:
            how, detail = "reordered", f"{place} is in the file of other events"
        elif record.previous != self.reached.commitment:
            how, detail = "changed", f"{place} names another commitment before it"
        if how:
            raise WrongRecord(self.stream, expected, how, detail)  # type: ignore[arg-type]
        committed = self._compare_leaf(record)
        salt = self.reached.salt if self.reached.number else facts.salt
        self.reached, self._sequence = LifeHead(expected, committed, salt), record.sequence

    def _compare_leaf(self, record: TenantRecord) -> bytes:
        """The commitment of a record, if the tree holds its leaf."""
        assert self._tiles is not None
        bundle, place = divmod(record.sequence - 1, WIDTH)
        hashes = self._tiles.leaf_hashes(bundle)
        committed = commitment(record.number, record.previous, digest(record.subject, record.data))
        leaf = LeafEntry(self.stream, record.sequence, facts_of(record.data).ms, committed)
        if place >= len(hashes) or leaf_hash(leaf.written) != hashes[place]:
            detail = f"{self.stream}:{record.sequence} has another leaf in the tree"
            raise WrongRecord(self.stream, record.number, "changed", detail)
        return committed

    def _other_files(self, size: int) -> Iterator[str]:
        """Tiles that are on no path are compared, too; every other file is foreign."""
        assert self._tiles is not None
        foreign = (each for each in self._export.foreign(size) if not self._belongs(each, size))
        named = [*islice(foreign, FOREIGN_MAX)]
        yield from (f"{self.stream}: {path} is foreign: the log has no such file" for path in named)
        for path in self._export.paths("tile"):
            name = parse_tile_name(path)
            if name.level == ENTRIES:
                yield f"{self.stream}: {path} is foreign: entries of others"
                return
            self._tiles.authenticate(name)

    def _belongs(self, path: str, size: int) -> bool:
        """Further parts of the records of a bundle belong to the export."""
        stem, dot, part = path.rpartition(".")
        if not dot or not path.startswith("events/") or not part.isdecimal():
            return False
        before = stem if part == "1" else f"{stem}.{int(part) - 1}"
        written = part == str(int(part)) != "0" and (self._export.folder / before).is_file()
        return written and not self._export.is_foreign(stem, size)


def _top(folder: Path) -> bytes:
    return ExportFolder(folder).read_file(TENANT_PATH, TENANT_BYTES_MAX)


def _foreign_above(folder: Path, streams: set[str]) -> list[str]:
    known = {TENANT_PATH, *streams}
    return [
        f"{each.name} is foreign" for each in sorted(folder.iterdir()) if each.name not in known
    ]
