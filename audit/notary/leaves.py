"""The leaf of an event in the Merkle log of its stream, and the commitment in it. Pure.

    digest     = SHA-256("secaplane/event/v1\\n" || subject || "\\n" || stored bytes)
    commitment = SHA-256("secaplane/commitment/v1\\n" || number || previous commitment || digest)
    leaf       = "secaplane/leaf/v1\\n<stream>\\n<sequence>\\n<ms>\\n<base64 commitment>\\n"

`number` (8 bytes, big-endian) counts the events of one tenant life in one stream from 1; the
previous commitment is that of the same life, zeros for the first event. Events without a tenant,
and those that this module cannot read, are one life with the empty uid. `<ms>` is the event's time
in milliseconds since 1970, 0 where it cannot be read. `lost` in place of the commitment is an
operator's declaration that the stream has lost the event.

The format is fixed: every proof that was ever given depends on it.
"""

import hashlib
import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, NamedTuple

import msgspec

from secaplane.audit.tlog.signed_notes import decoded_base64

TENANTLESS = ""
"""The life of events without a tenant, and of unreadable ones."""
FIRST_PREVIOUS = bytes(32)
DECLARED_LOST = "lost"
NUMBER_BYTES = 8
_EVENT, _COMMITMENT = b"secaplane/event/v1\n", b"secaplane/commitment/v1\n"
_HEADER = "secaplane/leaf/v1"
_LOST_LINE = f"{DECLARED_LOST}\n".encode()
_WRITTEN = b"%b\n%%b\n%%%%d\n%%%%d\n%%%%b" % _HEADER.encode()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 24 * 60 * 60 * 1000
_LEAF = re.compile(
    rf"{_HEADER}\n([A-Za-z0-9_-]+)\n([1-9][0-9]*)\n(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{{43}}=|{DECLARED_LOST})\n"
)
_sha256 = hashlib.sha256


class WrongLeaf(Exception):
    """Bytes that are no leaf of this format."""


class _Stored(msgspec.Struct, frozen=True, gc=False):
    """The fields of the stored bytes that a leaf needs."""

    time: Annotated[datetime, msgspec.Meta(tz=True)]
    tenant: str = TENANTLESS
    salt: bytes = b""


_decode = msgspec.json.Decoder(_Stored).decode
_UNREADABLE = _Stored(time=_EPOCH)


class EventFacts(NamedTuple):
    """The life, the time in milliseconds and the salt of an event, from its stored bytes."""

    life: str
    ms: int
    salt: bytes


class LifeHead(NamedTuple):
    """The newest event of a tenant life in one stream."""

    number: int
    commitment: bytes
    salt: bytes
    """Of the life's first event in this stream. With it the heads hide which tenant is which."""


class LeafEntry(NamedTuple):
    """A leaf that was read. `commitment` is None where the event is declared lost."""

    stream: str
    sequence: int
    ms: int
    commitment: bytes | None

    @property
    def written(self) -> bytes:
        last = _LOST_LINE if self.commitment is None else b2a_base64(self.commitment)
        return _written_of(self.stream) % (self.sequence, self.ms, last)


class CommittedEvent(NamedTuple):
    """One event in the chain of its life: its leaf, and what a receipt needs besides."""

    leaf: LeafEntry
    life: str
    number: int
    previous: bytes

    @property
    def extra(self) -> bytes:
        """The extra data of a receipt."""
        return self.number.to_bytes(NUMBER_BYTES, "big") + self.previous


class NextLeaves(NamedTuple):
    """The leaves of some next events, and the heads that they move."""

    leaves: list[bytes]
    moved: dict[str, LifeHead]


class CommitmentChain:
    """The newest commitment of every life in one stream, and the leaves that follow from it."""

    def __init__(self, stream: str, heads: Mapping[str, LifeHead] | None = None) -> None:
        self.stream, self._heads = stream, dict(heads or {})

    @property
    def heads(self) -> Mapping[str, LifeHead]:
        return self._heads

    def next_commitment(self, subject: str, stored: bytes) -> bytes:
        """The commitment of an event if it is the next one of its life."""
        number, previous = self._next(facts_of(stored).life)
        return commitment(number, previous, digest(subject, stored))

    def commit(self, sequence: int, subject: str, stored: bytes) -> CommittedEvent:
        """The next event of the stream."""
        life, ms, salt = facts_of(stored)
        number, previous = self._next(life)
        head = self._heads.get(life)
        committed = commitment(number, previous, digest(subject, stored))
        self._heads[life] = LifeHead(number, committed, head.salt if head else salt)
        return CommittedEvent(
            LeafEntry(self.stream, sequence, ms, committed), life, number, previous
        )

    def leaves_of(self, sequence: int, events: Iterable[tuple[str, bytes]]) -> NextLeaves:
        """The leaves of the next events, of which the first has this sequence, and the heads that
        they move. The chain stays as it is until `adopt`. Verifiers spend most of their time here:
        `digest` and `commitment` are inlined."""
        leaves, moved, known = list[bytes](), dict[str, tuple[int, bytes, bytes]](), self._heads
        written = _written_of(self.stream)
        for at, (subject, stored) in enumerate(events, sequence):
            read = _read(stored)
            life = read.tenant
            number, previous, salt = moved.get(life) or known.get(life) or _first(read)
            number += 1
            digested = _sha256(_EVENT + subject.encode() + b"\n" + stored).digest()
            counted = number.to_bytes(NUMBER_BYTES, "big")
            committed = _sha256(_COMMITMENT + counted + previous + digested).digest()
            moved[life] = number, committed, salt
            leaves.append(written % (at, _ms(read.time), b2a_base64(committed)))
        return NextLeaves(leaves, {life: LifeHead(*head) for life, head in moved.items()})

    def adopt(self, moved: Mapping[str, LifeHead]) -> None:
        """Take the heads that some next events have moved."""
        self._heads.update(moved)

    def _next(self, life: str) -> tuple[int, bytes]:
        """Number and previous commitment of the next event of a life."""
        head = self._heads.get(life)
        return (head.number + 1, head.commitment) if head else (1, FIRST_PREVIOUS)

    def lose(self, sequence: int) -> LeafEntry:
        """The leaf of an event that an operator has declared lost; no chain knows it."""
        return LeafEntry(self.stream, sequence, 0, None)


def _first(read: _Stored) -> tuple[int, bytes, bytes]:
    """The head of a life before its first event."""
    return 0, FIRST_PREVIOUS, read.salt


def _written_of(stream: str) -> bytes:
    """The format of a stream's leaves: their sequence, time and commitment are missing."""
    return _WRITTEN % stream.encode().replace(b"%", b"%%")


def digest(subject: str, stored: bytes) -> bytes:
    return _sha256(b"%b%b\n%b" % (_EVENT, subject.encode(), stored)).digest()


def commitment(number: int, previous: bytes, digested: bytes) -> bytes:
    counted = number.to_bytes(NUMBER_BYTES, "big")
    return _sha256(b"%b%b%b%b" % (_COMMITMENT, counted, previous, digested)).digest()


def facts_of(stored: bytes) -> EventFacts:
    """The facts that a leaf takes from the stored bytes: a JSON object whose `time` is an RFC 3339
    time with an offset, with strings `tenant` and `salt` (base64), both optional. Anything else is
    unreadable."""
    read = _read(stored)
    return EventFacts(read.tenant, _ms(read.time), read.salt)


def _read(stored: bytes) -> _Stored:
    """The text is checked as a whole, because the decoder skips over the fields that it does not
    need without that: another verifier must read the same."""
    try:
        if not stored.isascii():
            stored.decode()
        return _decode(stored)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _UNREADABLE


def _ms(time: datetime) -> int:
    since = time - _EPOCH
    ms = since.days * _DAY_MS + since.seconds * 1000 + since.microseconds // 1000
    return ms if ms > 0 else 0


def parse_leaf(entry: bytes) -> LeafEntry:
    """A leaf from its bytes.

    Raises:
        WrongLeaf: the bytes are no leaf.
    """
    try:
        match = _LEAF.fullmatch(entry.decode("ascii"))
        if match is None:
            raise WrongLeaf("the entry is no leaf of this format")
        committed = None if match[4] == DECLARED_LOST else decoded_base64(match[4])
    except ValueError as error:
        raise WrongLeaf(f"the entry is no leaf of this format: {error}") from error
    if committed is None and match[3] != "0":
        raise WrongLeaf("a lost event has no time")
    return LeafEntry(match[1], int(match[2]), int(match[3]), committed)


def parse_extra(extra: bytes) -> tuple[int, bytes]:
    """The number and the previous commitment in a receipt.

    Raises:
        WrongLeaf: the extra data has another length.
    """
    if len(extra) != NUMBER_BYTES + len(FIRST_PREVIOUS):
        raise WrongLeaf("the extra data of a receipt are a number and a commitment")
    return int.from_bytes(extra[:NUMBER_BYTES], "big"), extra[NUMBER_BYTES:]


def leaf_from_receipt(
    stream: str, sequence: int, subject: str, stored: bytes, extra: bytes
) -> LeafEntry:
    """The leaf that an event has, if the extra data of its receipt are right."""
    number, previous = parse_extra(extra)
    committed = commitment(number, previous, digest(subject, stored))
    return LeafEntry(stream, sequence, facts_of(stored).ms, committed)
