"""Random changes of exports of one tenant, from a log of 300 events: each must be found, with the
number of the first event that it concerns."""

import contextlib
import io
import random
import re
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import msgspec

from secaplane.audit.tenant_export.folder import (
    TENANT_PATH,
    TenantRecord,
    joined_records,
    parse_tenant,
    records_path,
    split_records,
)
from secaplane.audit.tlog.tiles import WIDTH
from secaplane.cli.operate.history_verify import verify
from tests.rules.tenant_scene import AUDIT, POLICY, STREAM, TenantScene, events, write

SIZE, COVERED, SEEN = 300, 290, 256
_NAMED = re.compile(rf"{STREAM}: number (\d+) is [a-z ]+|{STREAM}:(\d+) is [a-z ]+")
_ANY = range(1, SIZE + 1)


class TenantMutation(NamedTuple):
    """Changed files of an export, and the numbers of which one must be named; none where the
    change is not about an event of the tenant."""

    files: dict[str, bytes]
    first: range | None


class TenantTamperScene:
    """A good export of a tenant, and an auditor who has kept an earlier checkpoint."""

    def __init__(self, place: Path, seeded: random.Random) -> None:
        self.random, self.folder = seeded, place / "tenant"
        scene = TenantScene(events(SIZE), covered=COVERED)
        self._good, self._present = scene.files(), dict[str, bytes]()
        self._records = [
            each
            for number in range(2)
            for each in split_records(self._good[f"{STREAM}/{records_path(number)}"])
        ]
        forked = TenantScene(events(SIZE, begin=1), covered=COVERED).files()
        short = TenantScene(events(SEEN - 50)).files()
        self._others = {"forked": forked, "short": short}
        self.policy, self.seen = place / "tenant-policy", place / "tenant-seen"
        self.policy.write_text(POLICY)
        self.seen.write_bytes(scene.checkpoint(STREAM, SEEN))
        self._theirs = [each for n, each in enumerate(scene.events[STREAM]) if n % 3 != 1]

    def is_found(self, mutation: TenantMutation) -> bool:
        """True if the verification names an event that the mutation concerns."""
        self.place(mutation.files)
        said = io.StringIO()
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            status = verify(
                self.folder, policy=self.policy, seen=[self.seen], max_age_s=None, resume=None
            )
        if status != 1 or mutation.first is None:
            return status == 1
        named = _NAMED.search(said.getvalue())
        return named is not None and (named[2] is not None or int(named[1]) in mutation.first)

    def place(self, files: dict[str, bytes]) -> None:
        """Make the folder hold these files: what it holds already is not written again."""
        for path in self._present.keys() - files.keys():
            (self.folder / path).unlink()
        changed = {path: data for path, data in files.items() if self._present.get(path) != data}
        write(self.folder, changed)
        self._present = dict(files)

    def sorts(self) -> Iterator[Callable[[], TenantMutation]]:
        """Every sort of mutation in turn, without end."""
        return cycle(
            (
                self.changed,
                self.renumbered,
                self.missing,
                self.inserted,
                self.reordered,
                self.cut,
                self.other,
                self.byte,
                self.gone,
                self.head,
            )
        )

    # --- the sorts of mutations

    def with_records(self, records: list[TenantRecord], number: int) -> TenantMutation:
        """An export with other records; `number`: of the first that differs."""
        files = dict(self._good)
        for bundle in range(2):
            some = [each for each in records if (each.sequence - 1) // WIDTH == bundle]
            path = f"{STREAM}/{records_path(bundle)}"
            files[path] = joined_records(some)
            if not some:
                del files[path]
        return TenantMutation(files, range(number, number + 1))

    def _at(self, room: int = 0) -> int:
        return self.random.randrange(len(self._records) - room)

    def changed(self) -> TenantMutation:
        records, at = [*self._records], self._at()
        data = bytearray(records[at].data)
        data[self.random.randrange(len(data))] ^= self.random.randrange(1, 256)
        records[at] = records[at]._replace(data=bytes(data))
        return self.with_records(records, at + 1)

    def renumbered(self) -> TenantMutation:
        """A record left out, and the numbers of the others made good."""
        records, at = [*self._records], self._at(1)
        later = (each._replace(number=each.number - 1) for each in records[at + 1 :])
        return self.with_records([*records[:at], *later], at + 1)

    def missing(self) -> TenantMutation:
        records, at = [*self._records], self._at()
        del records[at : at + self.random.randrange(1, 4)]
        return self.with_records(records, at + 1)

    def inserted(self) -> TenantMutation:
        """A record twice, or an event of another tenant in the place of one."""
        records, at = [*self._records], self._at()
        if self.random.random() < 0.5:
            return self.with_records([*records[: at + 1], *records[at:]], at + 2)
        theirs = self.random.choice(self._theirs)
        records[at] = records[at]._replace(subject=theirs.subject, data=theirs.data)
        return self.with_records(records, at + 1)

    def reordered(self) -> TenantMutation:
        records = [*self._records]
        one, other = sorted(self.random.sample(range(len(records)), 2))
        first, second = records[one], records[other]
        records[one] = second._replace(sequence=first.sequence)
        records[other] = first._replace(sequence=second.sequence)
        return self.with_records(records, one + 1)

    def cut(self) -> TenantMutation:
        at = self._at()
        return self.with_records(self._records[:at], at + 1)

    def other(self) -> TenantMutation:
        """The export of a history that was forked, or rolled back."""
        return TenantMutation(self._others[self.random.choice(("forked", "short"))], _ANY)

    def byte(self) -> TenantMutation:
        """A byte of any file but those of the events."""
        path = self.random.choice([each for each in self._good if f"{STREAM}/events" not in each])
        data = bytearray(self._good[path])
        data[self.random.randrange(len(data))] ^= self.random.randrange(1, 256)
        return TenantMutation(self._good | {path: bytes(data)}, None)

    def gone(self) -> TenantMutation:
        path = self.random.choice([each for each in self._good if each != TENANT_PATH])
        return TenantMutation({p: d for p, d in self._good.items() if p != path}, None)

    def head(self) -> TenantMutation:
        """An end that was cut, with a number of the head that fits it; or another entry."""
        facts = parse_tenant(self._good[TENANT_PATH])
        at = self._at()
        cut = self.with_records(self._records[:at], at + 1)
        heads = tuple(
            msgspec.structs.replace(each, number=at) if each.stream == STREAM else each
            for each in facts.heads
        )
        lied = msgspec.structs.replace(facts, heads=heads)
        if self.random.random() < 0.2:
            lied = msgspec.structs.replace(facts, heads_sequence=self.random.randrange(9))
            if lied == facts:
                return self.byte()
            return TenantMutation(self._good | {TENANT_PATH: lied.written}, None)
        assert facts.heads_stream == AUDIT
        return TenantMutation(cut.files | {TENANT_PATH: lied.written}, cut.first)
