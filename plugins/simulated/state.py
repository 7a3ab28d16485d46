"""What the simulated cloud never forgets: one SQLite file, one transaction for each change.

The write-ahead log without a sync for each commit: what was committed outlives the process, however
it dies, which is what reconcilers are tested against; only the machine's own power failure could
take the last moments back.
"""

import sqlite3
from pathlib import Path

import msgspec

from model.shape import NOWHERE, Json, Position
from plugins.simulated.making import Pool
from plugins.simulated.wire import Counts, Faults, Thing

LOCKED_S_MAX = 2.0
"""How long to wait for a former process to let go of the file; two at a time are not allowed."""

VERSION = 1
SCHEMA = f"""
begin;
create table things (
    uid text primary key, kind text not null, path text not null, spec blob not null,
    status blob not null, allotted blob not null, begun_at real not null, going integer not null
);
create table actions (
    uid text not null, key integer not null, action text not null, primary key (uid, key)
) without rowid;
create table allotments (
    pool text not null, number integer not null, uid text, primary key (pool, number)
) without rowid;
create index allotments_by_holder on allotments (uid, pool, number);
create table counts (
    uid text primary key, kind text not null, creates integer not null default 0,
    removes integer not null default 0, actions integer not null default 0
);
create table settings (name text primary key, value blob not null);
pragma user_version = {VERSION};
commit;
"""
ALONE = "pragma locking_mode = exclusive; pragma journal_mode = wal; pragma synchronous = normal"

THING = "select uid, kind, path, spec, status, allotted, begun_at, going from things"
KEEP = "insert or replace into things values (?, ?, ?, ?, ?, ?, ?, ?)"
KEYS = "select max(key) from actions where uid = ?"
GIVEN_BACK = "select min(number) from allotments where uid is null and pool = ?"
NEXT = "select coalesce(max(number), 0) + 1 from allotments where pool = ?"
CREATED, REMOVED, ACTED = (
    f"insert into counts (uid, kind, {what}) values (?, ?, 1)"
    f" on conflict (uid) do update set {what} = {what} + 1"
    for what in ("creates", "removes", "actions")
)
TOTALS = "select kind, sum(creates), sum(removes), sum(actions) from counts group by kind"

Row = tuple[str, str, str, bytes, bytes, bytes, float, int]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Json).decode


class State:
    def __init__(self, file: Path) -> None:
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
            raise ValueError(f"{file}: {error}; another process has it, perhaps") from error
        (version,) = self._sqlite.execute("pragma user_version").fetchone()
        if version == 0:
            self._sqlite.executescript(SCHEMA)
        elif version != VERSION:
            raise ValueError(f"{file} has version {version}, not {VERSION}: take another file")

    def close(self) -> None:
        self._sqlite.close()

    def change(self) -> sqlite3.Connection:
        """`with state.change():` all that is done there, or nothing."""
        self._sqlite.execute("begin immediate")
        return self._sqlite

    def thing(self, uid: str) -> Thing | None:
        row = self._sqlite.execute(f"{THING} where uid = ?", (uid,)).fetchone()
        return _thing(row) if row else None

    def things(self) -> list[Thing]:
        return [_thing(row) for row in self._sqlite.execute(f"{THING} order by path, uid")]

    def keep(self, thing: Thing, *, new: bool = False) -> None:
        self._sqlite.execute(KEEP, _row(thing))
        if new:
            self._sqlite.execute(CREATED, (thing.uid, thing.kind))

    def forget(self, thing: Thing) -> None:
        self._sqlite.execute("delete from things where uid = ?", (thing.uid,))
        self._sqlite.execute("delete from actions where uid = ?", (thing.uid,))
        self._sqlite.execute("update allotments set uid = null where uid = ?", (thing.uid,))
        self._sqlite.execute(REMOVED, (thing.uid, thing.kind))

    def last_key(self, uid: str) -> Position:
        (key,) = self._sqlite.execute(KEYS, (uid,)).fetchone()
        return Position(key) if key is not None else NOWHERE

    def keep_action(self, thing: Thing, action: str, key: Position) -> None:
        self._sqlite.execute("insert into actions values (?, ?, ?)", (thing.uid, key, action))
        self._sqlite.execute(ACTED, (thing.uid, thing.kind))

    def allot(self, pool: Pool, uid: str) -> int | None:
        """A number nobody else has: one that was given back, or the next; None if all are taken."""
        (number,) = self._sqlite.execute(GIVEN_BACK, (pool.name,)).fetchone()
        if number is None:
            (number,) = self._sqlite.execute(NEXT, (pool.name,)).fetchone()
        if number > pool.size:
            return None
        allotment = (pool.name, number, uid)
        self._sqlite.execute("insert or replace into allotments values (?, ?, ?)", allotment)
        return int(number)

    def counts(self) -> Counts:
        rows = self._sqlite.execute("select uid, creates, removes, actions from counts").fetchall()
        return Counts(
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


def _row(thing: Thing) -> Row:
    spec, status, allotted = _encode(thing.spec), _encode(thing.status), _encode(thing.allotted)
    return thing.uid, thing.kind, thing.path, spec, status, allotted, thing.begun_at, thing.going


def _thing(row: Row) -> Thing:
    uid, kind, path, spec, status, allotted, begun_at, going = row
    return Thing(
        uid=uid,
        kind=kind,
        path=path,
        spec=_decode(spec),
        status=_decode(status),
        allotted=_decode(allotted),
        begun_at=begun_at,
        going=bool(going),
    )
