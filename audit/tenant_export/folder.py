"""The files of the export of one tenant life. Pure.

    DIR/tenant.json                  the life, the entry about heads, and the proofs of its heads
    DIR/<stream>/checkpoint          signed; the newest that a quorum has cosigned, if any
    DIR/<stream>/tile/<L>/<N>        hashes: all from level 1 on, and of level 0 those on the paths
    DIR/<stream>/events/<N>[.<part>] the records of the tenant in the entry bundle of that number

A record is its sequence and its number (8 bytes each), the previous commitment (32 bytes), the
subject and the stored bytes, each after its length in four bytes; all big-endian. A file that grows
beyond PART_BYTES is continued in the next part. The entry about heads is a record of the audit
stream, the only one that is not of the tenant.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from itertools import count
from typing import NamedTuple

import msgspec

from secaplane.audit.heads.offer import OfferedHead
from secaplane.audit.heads.tree import HeadProof
from secaplane.audit.notary.export_folder import ExportFolder, events_path
from secaplane.audit.tlog.tiles import TilesDiffer
from secaplane.eventlog.codec import EVENT_BYTES_MAX, NOT_JSON

TENANT_PATH = "tenant.json"
TENANT_BYTES_MAX = 1024 * 1024
VERSION = 1
PART_BYTES = 4 * 1024 * 1024
PART_BYTES_MAX = PART_BYTES + EVENT_BYTES_MAX + 64 * 1024
"""Of a file: a larger one is refused before it is read."""
_STREAM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FIXED, _LENGTH = struct.Struct(">QQ32s"), struct.Struct(">I")


class TenantRecord(NamedTuple):
    """An event of the tenant, and its place in the chain of its life."""

    sequence: int
    number: int
    previous: bytes
    subject: str
    data: bytes


class TenantFacts(msgspec.Struct, frozen=True):
    """The contents of TENANT_PATH."""

    v: int
    life: str
    """The uid of the tenant's life."""
    heads_sequence: int
    heads_stream: str
    """The audit stream, and the sequence of the entry about heads."""
    heads: tuple[OfferedHead, ...]
    """Of the life in every stream."""

    @property
    def written(self) -> bytes:
        return _encode(self)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(TenantFacts).decode


def parse_tenant(data: bytes) -> TenantFacts:
    """The contents of TENANT_PATH.

    Raises:
        TilesDiffer: malformed, or not the one form of its contents: a changed byte that says the
            same would be a change that no signature covers.
    """
    try:
        facts = _decode(data)
    except NOT_JSON as error:
        raise TilesDiffer(f"{TENANT_PATH} is malformed: {error}") from error
    names = [facts.heads_stream, *(each.stream for each in facts.heads)]
    if not all(map(_STREAM.fullmatch, names)):
        raise TilesDiffer(f"{TENANT_PATH} names no streams")
    if facts.v != VERSION or facts.written != data:
        raise TilesDiffer(f"{TENANT_PATH} is not of version {VERSION}, or not as it is written")
    return facts


def head_proof(head: OfferedHead, size: int) -> HeadProof:
    """`size`: the number of heads, from the entry."""
    return HeadProof(head.place, size, head.hashes)


def records_path(number: int, part: int = 0) -> str:
    return f"{events_path(number)}.{part}" if part else events_path(number)


def joined_records(records: Iterable[TenantRecord]) -> bytes:
    parts = list[bytes]()
    for each in records:
        subject = each.subject.encode()
        parts.append(_FIXED.pack(each.sequence, each.number, each.previous))
        parts += [_LENGTH.pack(len(subject)), subject, _LENGTH.pack(len(each.data)), each.data]
    return b"".join(parts)


def split_records(data: bytes) -> list[TenantRecord]:
    """The records in a file.

    Raises:
        TilesDiffer: there are none, the file ends inside one, or a subject is no text.
    """
    records, at = list[TenantRecord](), 0
    if not data:
        raise TilesDiffer("a file of records holds none")
    try:
        while at < len(data):
            sequence, number, previous = _FIXED.unpack_from(data, at)
            begin = at + _FIXED.size + _LENGTH.size
            middle = begin + _LENGTH.unpack_from(data, begin - _LENGTH.size)[0]
            end = middle + _LENGTH.size + _LENGTH.unpack_from(data, middle)[0]
            if end > len(data):
                raise TilesDiffer("a file of records ends inside a record")
            subject = data[begin:middle].decode()
            stored = data[middle + _LENGTH.size : end]
            records.append(TenantRecord(sequence, number, previous, subject, stored))
            at = end
    except (struct.error, UnicodeDecodeError) as error:
        raise TilesDiffer("a file of records is malformed") from error
    return records


def tenant_records(export: ExportFolder, number: int) -> Iterator[TenantRecord]:
    """The records of the bundle of that number, from all its parts.

    Raises:
        TilesDiffer: a part is malformed; the text names it.
    """
    for part in count():
        path = records_path(number, part)
        if not (export.folder / path).exists():
            return
        try:
            yield from split_records(export.read_file(path, PART_BYTES_MAX))
        except TilesDiffer as error:
            raise TilesDiffer(f"{path}: {error}") from error
