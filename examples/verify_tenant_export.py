"""A second verifier of the export of one tenant: with the standard library, `cryptography`, and
`verify_export.py` beside it, which says how policies, checkpoints and stored bytes are read.

Written from docs/explanation/tamper-evidence.md. Exit status 0: good; 1: wrong; 3: nothing is
wrong, but some attacks cannot be seen with what was given.
"""

import argparse
import base64
import binascii
import json
import re
import struct
import sys
from collections.abc import Iterator
from functools import reduce
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from verify_export import (
    WIDTH,
    Policy,
    Wrong,
    checkpoint,
    facts,
    require,
    sha256,
    tile_path,
)

FIELDS = ["v", "life", "heads_sequence", "heads_stream", "heads"]
HEAD = ["stream", "number", "place", "hashes"]
ENTRY = b"seca-audit.heads.all"


class Record(NamedTuple):
    sequence: int
    number: int
    previous: bytes
    subject: bytes
    stored: bytes

    @property
    def commitment(self) -> bytes:
        digest = sha256(b"secaplane/event/v1\n", self.subject, b"\n", self.stored)
        counted = self.number.to_bytes(8, "big")
        return sha256(b"secaplane/commitment/v1\n", counted, self.previous, digest)


class Reached(NamedTuple):
    """The last event of the tenant in a stream, and the salt of its first one."""

    number: int = 0
    commitment: bytes = bytes(32)
    salt: bytes = b""


def fold(row: list[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    while len(row) > 1:
        row = [sha256(b"\1", *row[at : at + 2]) for at in range(0, len(row), 2)]
    return row[0]


class Log:
    """The part of an export that is of one stream; its checkpoint is trusted when this is made."""

    def __init__(self, folder: Path, policy: Policy | None) -> None:
        self.stream, self._folder, self._read = folder.name, folder, set[str]()
        self._tiles = dict[tuple[int, int], list[bytes]]()
        self.origin, self.size, root, text, lines = checkpoint(self.read("checkpoint"))
        named = f"a checkpoint of the log {self.origin}"
        require(self.origin.rpartition("/")[2] == self.stream, named)
        if policy:
            policy.check(self.origin, text, lines)
        require(self.root(self.size) == root, f"{self.stream}: the tiles have another root")

    def read(self, path: str) -> bytes:
        self._read.add(path)
        file = self._folder / path
        require(file.is_file() and not file.is_symlink(), f"{self.stream}: {path} is missing")
        return file.read_bytes()

    def has(self, level: int, number: int) -> bool:
        return (self._folder / self._path(level, number)).is_file()

    def _path(self, level: int, number: int) -> str:
        return tile_path(level, number, min(WIDTH, (self.size >> (8 * level)) - number * WIDTH))

    def tile(self, level: int, number: int) -> list[bytes]:
        """The hashes of a tile. A complete one is compared with the tile above; the others make the
        root together."""
        if (level, number) not in self._tiles:
            path = self._path(level, number)
            data = self.read(path)
            row = [data[at : at + 32] for at in range(0, len(data), 32)]
            width = min(WIDTH, (self.size >> (8 * level)) - number * WIDTH)
            require(len(data) == 32 * width, f"{self.stream}: {path} has another size")
            if width == WIDTH:
                above = self.tile(level + 1, number // WIDTH)[number % WIDTH]
                first = (number << (8 * (level + 1))) + 1
                require(fold(row) == above, f"{self.stream}:{first} is changed: {path} differs")
            self._tiles[level, number] = row
        return self._tiles[level, number]

    def root(self, size: int) -> bytes:
        """The root over the first leaves, from the tiles at their end."""
        roots, level = list[bytes](), 0
        while size >> (8 * level):
            number, width = divmod(size >> (8 * level), WIDTH)
            row, some = self.tile(level, number)[:width] if width else [], list[bytes]()
            while row:
                largest = 1 << (len(row).bit_length() - 1)
                some, row = [*some, fold(row[:largest])], row[largest:]
            roots, level = some + roots, level + 1
        ordered = reversed(roots or [sha256()])
        return reduce(lambda right, left: sha256(b"\1", left, right), ordered)

    def records(self, number: int) -> Iterator[Record]:
        """The records of a bundle, in all parts of its file."""
        for part in count():
            path = tile_path("entries", number).replace("tile/entries", "events")
            path += f".{part}" if part else ""
            if not (self._folder / path).exists():
                return
            try:
                yield from split(self.read(path))
            except struct.error as error:
                raise Wrong(f"{self.stream}: {path} is malformed") from error

    def holds(self, record: Record) -> bool:
        """True if the leaf of a record is in the tree."""
        if not 1 <= record.sequence <= self.size:
            return False
        _, ms, _ = facts(record.stored)
        last = f"{ms}\n{base64.b64encode(record.commitment).decode()}"
        leaf = f"secaplane/leaf/v1\n{self.stream}\n{record.sequence}\n{last}\n".encode()
        number, place = divmod(record.sequence - 1, WIDTH)
        return self.tile(0, number)[place] == sha256(b"\0", leaf)

    def events(self, life: str, size: int, entry: int) -> Reached:
        """Every event of a life, compared; `entry`: the sequence that is not one of them."""
        reached, before = Reached(), 0
        for number in range(-(-self.size // WIDTH)):
            for record in self.records(number):
                if record.sequence == entry:
                    continue
                expected = f"{self.stream}: number {reached.number + 1}"
                require(record.number <= reached.number + 1, f"{expected} is missing")
                own = facts(record.stored)[0] == life and record.number == reached.number + 1
                in_order = before < record.sequence <= size
                in_file = (record.sequence - 1) // WIDTH == number
                require(own and in_order and in_file, f"{expected} is inserted")
                linked = record.previous == reached.commitment
                require(linked and self.holds(record), f"{expected} is changed")
                salt = reached.salt if reached.number else facts(record.stored)[2]
                reached = Reached(record.number, record.commitment, salt)
                before = record.sequence
        return reached

    def refuse_foreign(self) -> None:
        """Compare the tiles that were not needed; refuse every file that is none of the export."""
        for file in sorted(self._folder.rglob("*")):
            path = file.relative_to(self._folder).as_posix()
            if path.startswith("tile/") and not file.is_dir() and path not in self._read:
                digits = re.sub(r"\.p/.*|[x/]", "", path.split("/", 2)[2])
                level = path.split("/")[1]
                if level.isdecimal() and digits.isdecimal():
                    known = (self.size >> (8 * int(level))) > int(digits) * WIDTH
                    if known and self._path(int(level), int(digits)) == path:
                        self.tile(int(level), int(digits))
            own = (file.is_dir() and not file.is_symlink()) or path in self._read
            require(own, f"{self.stream}: {path!r} is foreign")


def split(data: bytes) -> Iterator[Record]:
    at = 0
    while at < len(data) or not at:
        sequence, number, previous, length = struct.unpack_from(">QQ32sI", data, at)
        at += 52 + length
        subject = data[at - length : at]
        (length,) = struct.unpack_from(">I", data, at)
        at += 4 + length
        if at > len(data):
            raise struct.error
        yield Record(sequence, number, previous, subject, data[at - length : at])


def verify_inclusion(leaf: bytes, place: int, size: int, hashes: list[bytes]) -> bytes:
    """The root to which a proof leads (RFC 9162, section 2.1.3.2)."""
    node, last, computed = place, size - 1, sha256(b"\0", leaf)
    require(0 <= place < size, "a head has no such place")
    for each in hashes:
        require(last, "the proof of a head is too long")
        if node & 1 or node == last:
            computed = sha256(b"\1", each, computed)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            computed = sha256(b"\1", computed, each)
        node, last = node >> 1, last >> 1
    require(not last, "the proof of a head is too short")
    return computed


def tenant(folder: Path) -> dict[str, Any]:
    """The contents of tenant.json, in the one form in which they are written."""
    data = (folder / "tenant.json").read_bytes()
    try:
        read = json.loads(data)
        exact = json.dumps(read, separators=(",", ":"), ensure_ascii=False).encode() == data
        require(exact and list(read) == FIELDS and read["v"] == 1, "tenant.json is malformed")
        for head in read["heads"]:
            require(list(head) == HEAD, "tenant.json is malformed")
            exact = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", head["stream"])
            require(exact, "tenant.json names no streams")
            hashes = [base64.b64decode(each, validate=True) for each in head["hashes"]]
            exact = [base64.b64encode(each).decode() for each in hashes] == head["hashes"]
            require(exact, "tenant.json is malformed")
            head["hashes"] = hashes
        return dict(read)
    except (ValueError, TypeError, binascii.Error) as error:
        raise Wrong("tenant.json is malformed") from error


def verify(folder: Path, policy: Policy | None, seen: list[Path]) -> bool:
    """Raises Wrong with the first thing that is wrong. True if every earlier checkpoint could be
    compared, and there is one of each log."""
    read, compared = tenant(folder), set[str]()
    logs = {head["stream"]: Log(folder / head["stream"], policy) for head in read["heads"]}
    for file in folder.iterdir():
        known = file.name == "tenant.json" or (file.name in logs and not file.is_symlink())
        require(known, f"{file.name!r} is foreign")
    origins, missing = {each.origin: each for each in logs.values()}, False
    for origin, size, root, *_ in (checkpoint(each.read_bytes()) for each in seen):
        require(origin in origins, f"no good log {origin}")
        log = origins[origin]
        require(size <= log.size, f"{log.stream}:{log.size + 1} is rolled back")
        if size % WIDTH and not log.has(0, size // WIDTH):
            missing = True
            continue
        require(log.root(size) == root, f"{log.stream}:{size} is forked")
        compared.add(origin)
    named = {each.name for each in policy.logs} if policy else set[str]()
    require(named <= {*origins}, f"no good log {sorted(named - {*origins})}")
    compare_heads(read, logs)
    for log in logs.values():
        log.refuse_foreign()
    return not missing and compared == {*origins}


def compare_heads(read: dict[str, Any], logs: dict[str, Log]) -> None:
    """The events of every stream, up to the entry about heads."""
    audit, sequence = read["heads_stream"], read["heads_sequence"]
    require(audit in logs and sequence >= 1, "there is no entry about heads")
    records = logs[audit].records((sequence - 1) // WIDTH)
    entry = next((each for each in records if each.sequence == sequence), None)
    good = entry is not None and entry.subject == ENTRY and logs[audit].holds(entry)
    require(good, f"{audit}:{sequence} is not the entry about heads")
    heads = json.loads(entry.stored)["heads"] if entry else {}
    require({*heads["streams"]} == {*logs}, "the heads are about other streams")
    reached = {
        name: logs[name].events(read["life"], size, sequence if name == audit else 0)
        for name, size in sorted(heads["streams"].items())
    }
    salt = next((each.salt for each in reached.values() if each.number), b"")
    life = base64.b64encode(sha256(b"secaplane/life/v1\n", read["life"].encode(), b"\n", salt))
    for head in read["heads"]:
        name, (number, committed, _) = head["stream"], reached[head["stream"]]
        text = f"secaplane/head/v1\n{life.decode()}\n{name}\n{number}\n"
        text += f"{base64.b64encode(committed).decode()}\n"
        root = verify_inclusion(text.encode(), head["place"], heads["size"], head["hashes"])
        cut = f"{name}: number {number + 1} is cut"
        require(head["number"] == number and root == base64.b64decode(heads["root"]), cut)
        print(f"{name}: {number} events of the tenant compared")


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify the export of one tenant.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--seen", type=Path, action="append", default=[])
    given = parser.parse_args()
    policy = Policy(given.policy.read_text()) if given.policy else None
    try:
        complete = verify(given.folder, policy, given.seen)
    except Wrong as finding:
        print(finding, file=sys.stderr)
        return 1
    return 0 if policy and policy.witnesses and complete else 3


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Wrong, OSError, ValueError) as unusable:
        sys.exit(f"a file of the verifier cannot be used: {unusable}")
