"""A second verifier of exports, with the standard library and `cryptography` alone, written from
docs/explanation/tamper-evidence.md. It compares trees, heads and every file of DIR but time stamps
with the events. Exit status 0: good; 1: wrong; 3: good, but not all attacks could be seen.
"""

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

WIDTH = 256
Event, Heads, Head = tuple[bytes, bytes], dict[int, bytes], tuple[int, bytes, bytes]
ZONE = r"[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9])"
TIME = re.compile(rf"([0-9-]{{10}})[Tt ]([0-9:]{{8}})(?:\.([0-9]+))?({ZONE})")
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
ONE_TEXT = r"(?!.*(?:[^AQgw]==|[^AEIMQUYcgkosw048=]=)$)"  # bytes have one base64
LINE = re.compile(rf"{ONE_TEXT}— [^\s+]+ {BASE64.pattern}")
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


class Wrong(ValueError):
    """A finding."""


def require(good: object, finding: str) -> None:
    if not good:
        raise Wrong(finding)


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


class Key:
    """`name+id+base64(type || key)`: type 1 signs a note, 4 and 6 (ML-DSA-44) a time, too."""

    def __init__(self, text: str) -> None:
        self.name, key_id, encoded = text.split("+", 2)
        data = base64.b64decode(encoded, validate=True)
        self.kind, self.id = data[0], bytes.fromhex(key_id)
        known = self.kind in (1, 4, 6) and sha256(self.name.encode(), b"\n", data)[:4] == self.id
        require(known, f"{self.name}: not a key of a type that this program knows")
        type_ = MLDSA44PublicKey if self.kind == 6 else Ed25519PublicKey
        self._key: Ed25519PublicKey | MLDSA44PublicKey = type_.from_public_bytes(data[1:])

    def has_signed(self, text: str, lines: list[str]) -> bool:
        signed = False
        for name, _, encoded in (line.removeprefix("— ").rpartition(" ") for line in lines):
            key_id, signature = (data := base64.b64decode(encoded))[:4], data[4:]
            own, valid = (name == self.name, key_id == self.id), False
            if not any(own) or (all(own) and signed):
                continue
            message, at = self._message(text, signature[:8]), 0 if self.kind == 1 else 8
            with suppress(InvalidSignature):
                valid = self._key.verify(signature[at:], message) is None
            good = valid if all(own) else not (own[1] or valid or (self.kind > 1 and signature[0]))
            require(good, f"the signature of {self.name} is wrong")  # or its name, id or time
            signed = signed or all(own)
        return signed

    def _message(self, text: str, time: bytes) -> bytes:
        if self.kind == 1:
            return text.encode()
        if self.kind == 4:
            return b"cosignature/v1\ntime %d\n%b" % (int.from_bytes(time, "big"), text.encode())
        origin, size, root = text.split("\n")[:3]
        own, theirs = (bytes([len(x.encode())]) + x.encode() for x in (self.name, origin))
        tree = struct.pack(">QQ", 0, int(size)) + base64.b64decode(root)
        return b"subtree/v1\n\0" + own + time + theirs + tree


class Policy:
    def __init__(self, text: str) -> None:
        self.logs, self.quorum = list[Key](), ""
        self.witnesses, self.groups = dict[str, Key](), {"none": (0, list[str]())}
        for line in text.splitlines():
            match line.split():
                case ["log", key, *_]:
                    self.logs.append(Key(key))
                case ["witness", name, key, *_]:
                    self.witnesses[name] = Key(key)
                case ["group", name, least, *members]:
                    count = {"all": len(members), "any": 1}.get(least) or int(least)
                    self.groups[name] = count, members
                case ["quorum", name]:
                    self.quorum = name
                case [word, *_]:
                    require(word.startswith("#"), f"{word} begins no line of a policy")
        require(self.quorum in {*self.witnesses, *self.groups}, "a policy has one line `quorum`")

    def check(self, origin: str, text: str, lines: list[str]) -> None:
        """Raises Wrong where the log, or the quorum of witnesses, has not signed a checkpoint."""
        signed = [each.has_signed(text, lines) for each in self.logs if each.name == origin]
        require(any(signed), f"no key that the policy names for {origin} has signed")
        present = {name for name, key in self.witnesses.items() if key.has_signed(text, lines)}
        require(self._holds(self.quorum, present), f"the quorum {self.quorum} is not reached")

    def _holds(self, name: str, present: set[str]) -> bool:
        least, members = self.groups.get(name, (1, []))
        return name in present or sum(self._holds(each, present) for each in members) >= least


def checkpoint(data: bytes) -> tuple[str, int, bytes, str, list[str]]:
    """(origin, size, root, signed text, signature lines) of a checkpoint."""
    try:
        body, _, signatures = (whole := data.decode()).rpartition("\n\n")
        origin, size, root = body.split("\n")[:3]
        *lines, last = signatures.split("\n")
        good = lines and not last and all(map(LINE.fullmatch, lines)) and not CONTROL.search(whole)
        require(good and re.fullmatch("0|[1-9][0-9]{0,18}", size), "the checkpoint is malformed")
        return origin, int(size), base64.b64decode(root, validate=True), f"{body}\n", lines
    except ValueError as error:
        raise Wrong("the checkpoint is malformed") from error


def facts(stored: bytes) -> tuple[str, int, bytes]:
    """Tenant life, time in milliseconds and salt; ("", 0, b"") of bytes that are unreadable."""
    try:  # `int` refuses the constants that are no JSON
        read = json.loads(stored.decode(), parse_constant=int)
        json.dumps(read, ensure_ascii=False).encode()  # no half of a surrogate pair
        tenant, salt = read.get("tenant", ""), read.get("salt", "")
        date, clock, fraction, zone, sign, hours, minutes = TIME.fullmatch(read["time"]).groups()
        require(isinstance(tenant, str) and BASE64.fullmatch(salt), "another type")
        digits = (fraction or "").ljust(7, "0")
        micros = int(digits[:6]) + (digits[6] >= "5")
        offset = 0 if zone in "Zz" else int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
        utc = datetime.fromisoformat(f"{date}T{clock}").replace(tzinfo=UTC)
        ms = max(0, (int(utc.timestamp()) - offset) * 1000 + micros // 1000)
        return tenant, ms, base64.b64decode(salt)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "", 0, b""


class Leaves:
    def __init__(self, stream: str) -> None:
        self.stream, self._newest = stream, dict[str, Head]()  # number, commitment, salt
        self.heads = list[tuple[str, Head] | None]()  # by event; None: declared lost
        self.entries = list[tuple[str, dict[str, Any]]]()  # about heads: position and contents

    def next(self, sequence: int, event: Event) -> bytes:
        subject, stored = event
        if not (subject or stored):
            self.heads.append(None)
            return f"secaplane/leaf/v1\n{self.stream}\n{sequence}\n0\nlost\n".encode()
        life, ms, salt = facts(stored)
        number, previous, salt = self._newest.get(life, (0, bytes(32), salt))
        digest = sha256(b"secaplane/event/v1\n", subject, b"\n", stored)
        counted = (number + 1).to_bytes(8, "big")
        commitment = sha256(b"secaplane/commitment/v1\n", counted, previous, digest)
        self._newest[life] = number + 1, commitment, salt
        self.heads.append((life, self._newest[life]))
        if subject == b"seca-audit.heads.all":
            self.entries.append((f"{self.stream}:{sequence}", json.loads(stored)["heads"]))
        last = f"{ms}\n{base64.b64encode(commitment).decode()}"
        return f"secaplane/leaf/v1\n{self.stream}\n{sequence}\n{last}\n".encode()


def wrong_heads(logs: dict[str, Leaves]) -> Iterator[str]:
    """A finding for each entry about heads whose root is not that of the events."""
    for position, entry in (each for leaves in logs.values() for each in leaves.entries):
        newest, texts = dict[str, dict[str, Head]](), list[bytes]()
        for name, size in sorted(entry["streams"].items()):
            own = logs[name].heads if name in logs else []
            if len(own) < size:
                yield f"{name}:{len(own) + 1} is cut: {position} is about {size} events"
            newest[name] = dict(filter(None, own[:size]))
        for uid in {uid for heads in newest.values() for uid in heads}:
            salt = next(heads[uid][2] for heads in newest.values() if uid in heads)
            life = base64.b64encode(sha256(b"secaplane/life/v1\n", uid.encode(), b"\n", salt))
            for name, heads in newest.items():
                number, commitment, _ = heads.get(uid, (0, bytes(32), b""))
                parts = life, name.encode(), number, base64.b64encode(commitment)
                texts.append(b"secaplane/head/v1\n%b\n%b\n%d\n%b\n" % parts)
        found = root([sha256(b"\0", each) for each in sorted(texts)]), len(texts)
        if found != (base64.b64decode(entry["root"]), entry["size"]):
            yield f"{position} is wrong: its root of heads is not that of the events"


def events(data: bytes) -> Iterator[Event]:
    """The events in a file: subject and stored bytes, each after its length in four bytes."""
    at, parts = 0, list[bytes]()
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        at += 4 + length
        parts.append(data[at - length : at])
    require(at == len(data) and len(parts) % 2 == 0, "the last event is not complete")
    return zip(parts[::2], parts[1::2], strict=True)


def root(hashes: list[bytes]) -> bytes:
    """The root of a tree, as RFC 6962 defines it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else sha256()
    left = 1 << ((len(hashes) - 1).bit_length() - 1)
    return sha256(b"\1", root(hashes[:left]), root(hashes[left:]))


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    *first, last = [each.zfill(3) for each in f"{number:,}".split(",")]
    path = "".join(f"x{each}/" for each in first) + last
    return f"tile/{level}/{path}" + ("" if width == WIDTH else f".p/{width}")


class Export:
    def __init__(self, folder: Path) -> None:
        self._folder, self._stream, self._seen = folder, folder.name, set[str]()

    def read(self, path: str) -> bytes:
        self._seen.add(path)
        file = self._folder / path
        require(file.is_file() and not file.is_symlink(), f"{path} is missing")
        return file.read_bytes()

    def verify(self, policy: Policy | None, seen: dict[str, Heads]) -> tuple[str, Leaves]:
        """Raises Wrong with the first thing that is wrong."""
        origin, size, signed, text, lines = checkpoint(self.read("checkpoint"))
        require(origin.rpartition("/")[2] == self._stream, f"a checkpoint of the log {origin}")
        if policy:
            policy.check(origin, text, lines)
        heads = seen.get(origin, {})
        require(max(heads, default=0) <= size, f"{self._stream}:{size + 1} is rolled back")
        leaves, hashes = Leaves(self._stream), list[bytes]()
        for number in range(-(-size // WIDTH)):
            hashes += self._bundle(number, min(WIDTH, size - number * WIDTH), leaves)
        for at, known in sorted(heads.items()):
            require(root(hashes[:at]) == known, f"{self._stream}:{at} is forked")
        require(root(hashes) == signed, f"{self._stream}: the events have another root")
        row, level = hashes, 0
        while row:
            tiles = [row[at : at + WIDTH] for at in range(0, len(row), WIDTH)]
            for number, tile in enumerate(tiles):
                path = tile_path(level, number, len(tile))
                require(self.read(path) == b"".join(tile), f"{path} differs from the tree")
            row, level = [root(tile) for tile in tiles if len(tile) == WIDTH], level + 1
        for file in self._folder.rglob("*"):
            path = file.relative_to(self._folder).as_posix()
            own = path in self._seen or file.is_dir() or re.fullmatch(r"timestamps/\d+\.\w+", path)
            require(own and not file.is_symlink(), f"{self._stream}: {path!r} is foreign")
        require(not (n := leaves.heads.count(None)), f"{self._stream}: {n} are declared lost")
        return origin, leaves

    def _bundle(self, number: int, width: int, leaves: Leaves) -> Iterator[bytes]:
        some = [*events(self.read(tile_path("entries", number).replace("tile/entries", "events")))]
        entries, at = self.read(tile_path("entries", number, width)), 0
        for place, event in enumerate(some):
            leaf = leaves.next(sequence := number * WIDTH + place + 1, event)
            expected = len(leaf).to_bytes(2, "big") + leaf
            good = place < width and entries[at : at + len(expected)] == expected
            require(good, f"{self._stream}:{sequence} differs from its entry")
            at += len(expected)
            yield sha256(b"\0", leaf)
        last = number * WIDTH + len(some)
        require((len(some), at) == (width, len(entries)), f"{self._stream}:{last + 1} is cut")


def main() -> int:
    parser = argparse.ArgumentParser(description="Verify an export without Secaplane.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--seen", type=Path, action="append", default=[])
    given = parser.parse_args()
    policy = Policy(given.policy.read_text()) if given.policy else None
    seen, verified, wrong, logs = dict[str, Heads](), set[str](), list[str](), dict[str, Leaves]()
    for file in given.seen:
        origin, size, own, *_ = checkpoint(file.read_bytes())
        require(seen.setdefault(origin, {}).setdefault(size, own) == own, "forked before")
    for folder in sorted(given.folder.iterdir()):
        try:
            require(folder.is_dir() and not folder.is_symlink(), f"{folder.name!r} is foreign")
            origin, logs[folder.name] = Export(folder).verify(policy, seen)
            verified.add(origin)
            print(f"{folder.name}: {len(logs[folder.name].heads)} events compared")
        except (Wrong, struct.error) as finding:
            wrong.append(f"{folder.name}: {finding}")
    wrong += [] if wrong else wrong_heads(logs)
    needed = {*seen, *(each.name for each in policy.logs)} if policy else {*seen}
    wrong += [f"no good log {name}" for name in sorted(needed - verified)]
    if wrong or not verified:
        print("\n".join(wrong or ["no log"]), file=sys.stderr)
        return 1
    return 0 if policy and policy.witnesses and verified <= {*seen} else 3


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, ValueError) as unusable:
        sys.exit(f"a file of the verifier cannot be used: {unusable}")
