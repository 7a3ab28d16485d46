"""The rows of a read model's tables with their digests, and single rows as JSON.

The digest of a row is the SHA-256 of its JSON as `jsonb` writes it, with times in UTC: the same in
every database."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import msgspec
from asyncpg import Connection

from secaplane.projector.replay.comparison import Key, Part

PART = 1000
"""Rows that are fetched at once, as keys and digests."""
LEFT_OUT = {"checkpoints": ("epoch",), "quarantine": ("reason",)}
"""Columns that are not compared: `epoch` counts repairs, and the text of a reason is that of the
release that found it."""
CANONICAL = ("set timezone = 'UTC'", "set extra_float_digits = 1", "set bytea_output = 'hex'")
"""Settings on which the JSON of a row depends."""
TEXTS = ("text", "character varying", "character")


class Table(NamedTuple):
    """A table with the columns that name a row; without any, the row itself does."""

    name: str
    keys: Sequence[str]

    @property
    def row(self) -> str:
        """SQL for a row `t` as JSON."""
        return " - ".join(["to_jsonb(t)", *(f"'{each}'" for each in LEFT_OUT.get(self.name, ()))])

    def key_of(self, key: Key) -> str:
        """A key as a text of one line."""
        if not self.keys:
            return str(key[0])
        pairs = zip(self.keys, key, strict=True)
        return " ".join(f"{name}={value}" for name, value in pairs)


async def tables_of(connection: Connection, read_model: str) -> Sequence[Table]:
    """Every table of a read model."""
    rows = await connection.fetch(
        """
        select c.relname, coalesce(
            array_agg(a.attname::text order by array_position(i.indkey::int2[], a.attnum))
                filter (where a.attname is not null), '{}')
        from pg_class as c
        left join pg_index as i on i.indrelid = c.oid and i.indisprimary
        left join pg_attribute as a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where c.relnamespace = $1::text::regnamespace and c.relkind = 'r'
        group by c.relname order by c.relname
        """,
        read_model,
    )
    return [Table(name, keys) for name, keys in rows]


async def parts(connection: Connection, read_model: str, table: Table) -> AsyncIterator[Part]:
    """Every row of a table, in the order in which Python compares their keys; in a transaction."""
    named = [f"t.{each}" for each in table.keys] or [f"({table.row})::text"]
    types = await connection.fetchrow(
        f"select {', '.join(f'pg_typeof({each})::text' for each in named)}"
        f" from (select null) as one left join {read_model}.{table.name} as t on false"
    )
    assert types is not None, "an outer join has a row"
    order = ", ".join(
        f'{each} collate "C"' if type_ in TEXTS else each
        for each, type_ in zip(named, types, strict=True)
    )
    digest = f"sha256(convert_to(({table.row})::text, 'UTF8'))"
    cursor = await connection.cursor(
        f"select {', '.join(named)}, {digest} from {read_model}.{table.name} as t order by {order}"
    )
    while rows := await cursor.fetch(PART):
        yield [(tuple(row)[:-1], row[-1]) for row in rows]


async def one(
    connection: Connection, read_model: str, table: Table, key: Key
) -> dict[str, Any] | None:
    """A row by its key; None where there is none."""
    named = table.keys or [f"({table.row})::text"]
    wanted = " and ".join(f"{name} = ${n}" for n, name in enumerate(named, 1))
    text = await connection.fetchval(
        f"select ({table.row})::text from {read_model}.{table.name} as t where {wanted} limit 1",
        *key,
    )
    return msgspec.json.decode(text, type=dict[str, Any]) if text else None
