"""Random changes of exports of 300 events, whole ones and of one tenant in turn: each must be
found, with the position of the first event that it concerns. An earlier checkpoint is given, so
that rollbacks and forks can be seen.

Alone: `python -m tests.bench.tamper_figures [SECONDS]` stops after so many seconds.
"""

import contextlib
import io
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from secaplane.audit.notary.export_folder import ExportFolder, bundles, events_path, joined_events
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.tiles import ENTRIES, WIDTH, TileName, split, tiles_of
from secaplane.cli.operate.history_verify import verify
from tests.bench import exported
from tests.bench.exported_heads import audit_events, write_audit, wrong_root
from tests.bench.figures import Figure, figure, table
from tests.bench.tenant_tamper import TenantTamperScene
from tests.rules.tenant_scene import AUDIT

SIZE, MUTATIONS, SEEN = 300, 100_000, 200
HEADS_AT = (100, 250, SIZE)
"""Numbers of events about whose heads the audit stream has an entry."""
_POSITION = re.compile(rf"{exported.STREAM}(?:-audit)?:(\d+) is ([a-z ]+)")
_Events = list[StoredEvent | None]


class Mutation(NamedTuple):
    """Changed files of an export, and the first events of which one must be named."""

    files: dict[str, bytes]
    first: range


class TamperScene:
    """A good export, two that were signed by the same key (shorter, and forked), and an auditor."""

    def __init__(self, place: Path, seeded: random.Random) -> None:
        self.random, self.folder = seeded, place / "export"
        exported.write(self.folder, SIZE)
        self._log = [*exported.events(SIZE)]
        self._audit = audit_events(self._log, HEADS_AT)
        write_audit(self.folder, self._audit)
        self._export = ExportFolder(self.folder / exported.STREAM)
        self.policy = exported.write_policy(place / "policy", audit=True)
        self._events: _Events = [
            each for n in range(bundles(SIZE)) for each in self._export.events(n)
        ]
        self._good = self._files(self.folder)
        self.seen = place / "seen"
        self._others = dict[str, tuple[dict[str, bytes], int]]()
        for how, size, begin in (("short", SEEN - 50, 0), ("forked", SIZE, 1)):
            exported.write(place / how, size, begin=begin)
            first = SEEN - 49 if how == "short" else SEEN
            self._others[how] = self._beside_audit(self._files(place / how)), first
        self._with_wrong_heads = [
            self._with_heads(place / f"heads{n}", n) for n in range(len(HEADS_AT))
        ]
        exported.write(place / "earlier", SEEN)
        shutil.copy(place / "earlier" / exported.STREAM / "checkpoint", self.seen)

    @staticmethod
    def _files(folder: Path) -> dict[str, bytes]:
        return {
            each.relative_to(folder).as_posix(): each.read_bytes()
            for each in folder.rglob("*")
            if each.is_file()
        }

    def _beside_audit(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """The files of another export of the stream, and the audit stream of this one."""
        audit = {path: x for path, x in self._good.items() if path.startswith(f"{AUDIT}/")}
        return audit | files

    def is_found(self, mutation: Mutation) -> bool:
        """True if the verification names an event that the mutation concerns."""
        with self.changed_by(mutation):
            said = io.StringIO()
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
                status = verify(
                    self.folder, policy=self.policy, seen=[self.seen], max_age_s=None, resume=None
                )
        named = _POSITION.search(said.getvalue())
        return status == 1 and named is not None and int(named[1]) in mutation.first

    @contextlib.contextmanager
    def changed_by(self, mutation: Mutation) -> Iterator[None]:
        """The export has the files of a mutation inside, and its own again at the end."""
        paths = {*self._good, *mutation.files}
        changed = [x for x in paths if mutation.files.get(x) != self._good.get(x)]
        try:
            for path in changed:
                self._place(self.folder / path, mutation.files.get(path))
            yield
        finally:
            for path in changed:
                self._place(self.folder / path, self._good.get(path))

    def sorts(self) -> Iterator[Callable[[], Mutation]]:
        """Every sort of mutation in turn, without end."""
        return cycle(
            (
                self.changed,
                self.moved,
                self.missing,
                self.inserted,
                self.reordered,
                self.cut,
                self.rolled_back,
                self.forked,
                self.leaf,
                self.heads,
            )
        )

    @staticmethod
    def _place(file: Path, data: bytes | None) -> None:
        if data is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    # --- the sorts of mutations

    def with_events(self, events: _Events, first: int) -> Mutation:
        """An export with other events; `first`: the index of the first that differs."""
        parts = (events[:WIDTH], events[WIDTH:])
        files = {
            f"{exported.STREAM}/{events_path(n)}": joined_events(part)
            for n, part in enumerate(parts)
        }
        return Mutation(self._good | files, range(first + 1, first + 2))

    def changed(self) -> Mutation:
        events, at = [*self._events], self.random.randrange(SIZE)
        event = events[at]
        assert event is not None
        data = bytearray(event.data)
        data[self.random.randrange(len(data))] ^= self.random.randrange(1, 256)
        events[at] = event._replace(data=bytes(data))
        return self.with_events(events, at)

    def moved(self) -> Mutation:
        """An event under the subject of another resource."""
        events, at = [*self._events], self.random.randrange(SIZE)
        event = events[at]
        assert event is not None
        events[at] = event._replace(subject=f"{event.subject}x")
        return self.with_events(events, at)

    def missing(self) -> Mutation:
        events, at = [*self._events], self.random.randrange(SIZE)
        if self.random.random() < 0.5:
            events[at] = None
        else:
            del events[at : at + self.random.randrange(1, 5)]
        return self.with_events(events, at)

    def inserted(self) -> Mutation:
        events, at = [*self._events], self.random.randrange(SIZE + 1)
        if at and self.random.random() < 0.5:
            events.insert(at, events[at - 1])
        else:
            events.insert(at, StoredEvent("a.b", self.random.randbytes(40)))
        return self.with_events(events, at)

    def reordered(self) -> Mutation:
        events = [*self._events]
        one, other = sorted(self.random.sample(range(SIZE), 2))
        events[one], events[other] = events[other], events[one]
        return self.with_events(events, one)

    def cut(self) -> Mutation:
        at = self.random.randrange(SIZE)
        return self.with_events(self._events[:at], at)

    def rolled_back(self) -> Mutation:
        files, first = self._others["short"]
        return Mutation(files, range(first, first + 1))

    def forked(self) -> Mutation:
        files, first = self._others["forked"]
        return Mutation(files, range(first, first + 1))

    def leaf(self) -> Mutation:
        """A changed byte of an entry or a hash, or a file that is gone."""
        name = self.random.choice([*tiles_of(SIZE)])
        path = f"{exported.STREAM}/{name.path}"
        data = bytearray(self._good[path])
        if self.random.random() < 0.1:
            files = {each: data for each, data in self._good.items() if each != path}
            return Mutation(files, _below(name))
        at = self.random.randrange(len(data))
        data[at] ^= self.random.randrange(1, 256)
        first = _below(name)
        if name.level == ENTRIES and self._lengths_kept(name, bytes(data)):
            place = self._entry_at(name, at)
            first = range(first.start + place, first.start + place + 1)
        return Mutation(self._good | {path: bytes(data)}, first)

    def heads(self) -> Mutation:
        """An audit stream that is signed, and has a wrong root of heads."""
        return self.random.choice(self._with_wrong_heads)

    def _with_heads(self, place: Path, wrong: int) -> Mutation:
        told = audit_events(
            self._log, HEADS_AT, lambda n, facts: wrong_root(facts) if n == wrong else facts
        )
        write_audit(place, told)
        pairs = zip(told, self._audit, strict=True)
        sequence = next(n for n, (one, own) in enumerate(pairs, 1) if one != own)
        return Mutation(self._good | self._files(place), range(sequence, sequence + 1))

    def _lengths_kept(self, name: TileName, data: bytes) -> bool:
        with contextlib.suppress(Exception):
            lengths = [len(each) for each in split(data, name.width)]
            return lengths == [
                len(each)
                for each in split(self._good[f"{exported.STREAM}/{name.path}"], name.width)
            ]
        return False

    def _entry_at(self, name: TileName, at: int) -> int:
        for place, each in enumerate(
            split(self._good[f"{exported.STREAM}/{name.path}"], name.width)
        ):
            at -= 2 + len(each)
            if at < 0:
                return place
        raise AssertionError("behind the last entry")


def _below(name: TileName) -> range:
    """The sequences of the events that a tile is about. The incomplete tiles make the root
    together, so none of them can be blamed alone: the last event is named."""
    if name.level == ENTRIES:
        first = name.number * WIDTH + 1
        return range(first, first + name.width)
    return range(1, SIZE + 1)


async def measure(seconds: float | None = None) -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as name:
        whole = TamperScene(Path(name), random.Random(7))
        tenant = TenantTamperScene(Path(name), random.Random(8))
        found = made = 0
        sorts, of_tenant = whole.sorts(), tenant.sorts()
        deadline = time.monotonic() + seconds if seconds else float("inf")
        while made < MUTATIONS and time.monotonic() < deadline:
            made += 2
            found += whole.is_found(next(sorts)()) + tenant.is_found(next(of_tenant)())
        return {
            "tamper_found": figure([100 * found / made], "%"),
            "tamper_mutations": figure([made], ""),
        }


if __name__ == "__main__":
    import asyncio

    given = float(sys.argv[1]) if sys.argv[1:] else None
    print(table(asyncio.run(measure(given))))
