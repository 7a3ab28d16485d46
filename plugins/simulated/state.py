"""Durable state of the simulated cloud: one SQLite file, one transaction for each change.

The write-ahead log is not synced at each commit: what was committed survives the death of the
process, which is what reconcilers are tested against, but a power failure may lose the last
commits.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from secaplane.model.shape import Json, PowerState
from secaplane.plugins.plugin import Fence, InventoryItem
from secaplane.plugins.simulated.ranges import FullRanges, HeldRange
from secaplane.plugins.simulated.wire import ChangeCounts, CloudObject, Faults

LOCKED_S_MAX = 2.0
"""Seconds to wait for a former process to release the file; two processes at a time are refused."""

VERSION = 3
SCHEMA = f"""
begin;
create table things (
    uid text primary key, kind text not null, path text not null, spec blob not null, power text,
    targets blob not null, parents blob not null, status blob not null, begun_at real not null,
    terminating integer not null
);
create table uses (used text not null, user text not null, primary key (used, user)) without rowid;
create index uses_by_user on uses (user, used);
create table held (
    space text not null, first blob not null, last blob not null, uid text not null,
    primary key (space, first, last, uid)
) without rowid;
create index held_by_holder on held (uid, space);
create table actions (
    uid text not null, key integer not null, action text not null, primary key (uid, key)
) without rowid;
create table fences (
    uid text primary key, epoch integer not null, number integer not null,
    removed integer not null default 0
) without rowid;
create table counts (
    uid text primary key, kind text not null, creates integer not null default 0,
    removes integer not null default 0, actions integer not null default 0
);
create table settings (name text primary key, value blob not null);
pragma user_version = {VERSION};
commit;
"""
ALONE = "pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = normal"

COLUMNS = "uid, kind, path, spec, power, targets, parents, status, begun_at, terminating"
PAGE_MAX = 500
INVENTORY = f"select uid, kind, path from things where uid > ? order by uid limit {PAGE_MAX}"
THING = f"select {COLUMNS} from things"
KEEP = "insert or replace into things values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
USERS = f"{THING} join uses on user = uid where used = ? and kind = ? order by path"
HELD = """select first, last from held
where space = ? and first <= ? and last >= ? and uid != ? order by first, last"""
KEYS = "select max(key) from actions where uid = ?"
FENCE = "select epoch, number from fences where uid = ?"
ADVANCE = """insert into fences (uid, epoch, number) values (?, ?, ?)
on conflict (uid) do update set epoch = excluded.epoch, number = excluded.number
where (excluded.epoch, excluded.number) >= (epoch, number)
returning removed"""
CREATED, REMOVED, ACTED = (
    f"insert into counts (uid, kind, {what}) values (?, ?, 1)"
    f" on conflict (uid) do update set {what} = {what} + 1"
    for what in ("creates", "removes", "actions")
)
TOTALS = "select kind, sum(creates), sum(removes), sum(actions) from counts group by kind"

HOLD = "insert into held values (?, ?, ?, ?)"
LET_GO = "delete from held where space = ? and first = ? and last = ? and uid = ?"
NUMBER_BYTES = 16
"""An IPv6 address needs 16 bytes; SQLite integers have 8. Big-endian bytes sort as numbers do."""

Row = tuple[str, str, str, bytes, PowerState | None, bytes, bytes, bytes, float, int]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Json).decode


class CloudState:
    def __init__(self, file: Path) -> None:
        self.full = FullRanges()
        """A cache: it may know less than the file, never more."""
        self._sqlite = sqlite3.connect(file, timeout=LOCKED_S_MAX, isolation_level=None)
        try:
            self._open(file)
        except (sqlite3.DatabaseError, ValueError):
            self.close()
            raise

    def _open(self, file: Path) -> None:
        try:
            self._sqlite.executescript(ALONE)
        except sqlite3.OperationalError as error:
            raise ValueError(f"{file}: {error}; another process may have it open") from error
        (version,) = self._sqlite.execute("pragma user_version").fetchone()
        if version == 0:
            self._sqlite.executescript(SCHEMA)
        elif version != VERSION:
            raise ValueError(f"{file} has version {version}, not {VERSION}: use another file")

    def close(self) -> None:
        self._sqlite.close()

    def change(self) -> sqlite3.Connection:
        """`with state.change():` is one transaction."""
        self._sqlite.execute("begin immediate")
        return self._sqlite

    def thing(self, uid: str) -> CloudObject | None:
        row = self._sqlite.execute(f"{THING} where uid = ?", (uid,)).fetchone()
        return _thing(row) if row else None

    def things(self) -> list[CloudObject]:
        return [_thing(row) for row in self._sqlite.execute(f"{THING} order by path, uid")]

    def users(self, uid: str, kind: str) -> list[CloudObject]:
        """The things of a kind that refer to this one or are contained in it."""
        return [_thing(row) for row in self._sqlite.execute(USERS, (uid, kind))]

    def inventory(self, after: str) -> list[InventoryItem]:
        """The next things by uid; empty at the end."""
        return [InventoryItem(*row) for row in self._sqlite.execute(INVENTORY, (after,))]

    def held_by_others(self, within: HeldRange, uid: str) -> Iterator[tuple[int, int]]:
        """(first, last) of the ranges that other things hold, ordered by first."""
        space, first, last = within
        rows = self._sqlite.execute(HELD, (space, _blob(last), _blob(first), uid))
        return ((int.from_bytes(first), int.from_bytes(last)) for first, last in rows)

    def fence(self, uid: str) -> Fence | None:
        """The greatest fence that a change of this uid carried."""
        row = self._sqlite.execute(FENCE, (uid,)).fetchone()
        return Fence(*row) if row else None

    def advance(self, uid: str, fence: Fence) -> bool | None:
        """Store the fence of a change. True if the uid was removed at any time before; None if the
        stored fence is greater, and then nothing is stored."""
        row = self._sqlite.execute(ADVANCE, (uid, fence.epoch, fence.number)).fetchone()
        return None if row is None else bool(row[0])

    def keep_removed(self, uid: str) -> None:
        self._sqlite.execute("update fences set removed = 1 where uid = ?", (uid,))

    def keep(self, thing: CloudObject, held: Iterable[HeldRange], *, new: bool = False) -> None:
        self._sqlite.execute(KEEP, _row(thing))
        self._use(thing.uid, {*thing.targets.values(), *thing.parents.values()})
        self._hold(thing.uid, set(held))
        if new:
            self._sqlite.execute(CREATED, (thing.uid, thing.kind))

    def forget(self, thing: CloudObject) -> None:
        self._use(thing.uid, set())
        self._hold(thing.uid, set())
        self._sqlite.execute("delete from things where uid = ?", (thing.uid,))
        self._sqlite.execute("delete from actions where uid = ?", (thing.uid,))
        self._sqlite.execute(REMOVED, (thing.uid, thing.kind))

    def _use(self, uid: str, used: set[str]) -> None:
        self._sqlite.execute("delete from uses where user = ?", (uid,))
        self._sqlite.executemany("insert into uses values (?, ?)", [(each, uid) for each in used])

    def _hold(self, uid: str, held: set[HeldRange]) -> None:
        rows = self._sqlite.execute("select space, first, last from held where uid = ?", (uid,))
        former = {HeldRange(each[0], *map(int.from_bytes, each[1:])) for each in rows}
        for each in former - held:
            self.full.release(each.space, each.first)
        self._sqlite.executemany(LET_GO, [_held(each, uid) for each in former - held])
        self._sqlite.executemany(HOLD, [_held(each, uid) for each in held - former])

    def last_key(self, uid: str) -> int:
        (key,) = self._sqlite.execute(KEYS, (uid,)).fetchone()
        return int(key or 0)

    def keep_action(self, thing: CloudObject, action: str, key: int) -> None:
        self._sqlite.execute("insert into actions values (?, ?, ?)", (thing.uid, key, action))
        self._sqlite.execute(ACTED, (thing.uid, thing.kind))

    def counts(self) -> ChangeCounts:
        rows = self._sqlite.execute("select uid, creates, removes, actions from counts").fetchall()
        return ChangeCounts(
            creates={uid: n for uid, n, _, _ in rows if n},
            removes={uid: n for uid, _, n, _ in rows if n},
            actions={uid: n for uid, _, _, n in rows if n},
            totals={
                kind: {"creates": creates, "removes": removes, "actions": actions}
                for kind, creates, removes, actions in self._sqlite.execute(TOTALS)
            },
        )

    def faults(self) -> Faults:
        row = self._sqlite.execute("select value from settings where name = 'faults'").fetchone()
        return msgspec.json.decode(row[0], type=Faults) if row else Faults()

    def keep_faults(self, faults: Faults) -> None:
        keep = "insert or replace into settings values ('faults', ?)"
        self._sqlite.execute(keep, (_encode(faults),))


def _row(thing: CloudObject) -> Row:
    return (
        thing.uid,
        thing.kind,
        thing.path,
        _encode(thing.spec),
        thing.power,
        _encode(thing.targets),
        _encode(thing.parents),
        _encode(thing.status),
        thing.begun_at,
        thing.terminating,
    )


def _thing(row: Row) -> CloudObject:
    uid, kind, path, spec, power, targets, parents, status, begun_at, terminating = row
    return CloudObject(
        uid=uid,
        kind=kind,
        path=path,
        spec=_decode(spec),
        power=power,
        targets=_decode(targets),
        parents=_decode(parents),
        status=_decode(status),
        begun_at=begun_at,
        terminating=bool(terminating),
    )


def _held(held: HeldRange, uid: str) -> tuple[str, bytes, bytes, str]:
    return held.space, _blob(held.first), _blob(held.last), uid


def _blob(number: int) -> bytes:
    return number.to_bytes(NUMBER_BYTES)
