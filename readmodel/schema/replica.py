"""The identity of a read-model replica: a database that a projector of its own fills from the log.

An operator gives the name (`readmodel.replica`); the database gives the id when its first projector
starts. Both are compared wherever a process connects, and every announcement carries them, so that
no process takes the rows or the progress of another replica for those of its own. A streaming
replica of PostgreSQL is a copy of its primary, and has the primary's identity.
"""

from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from secaplane.readmodel.schema.active import NoReadModel, connected
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import ADMIN_SCHEMA, Tx, prepare


class WrongReplica(Exception):
    """The database holds another replica than the one that is configured."""


class Replica(NamedTuple):
    name: str
    id: str
    """32 hexadecimal digits."""


@dataclass
class PresentReplica:
    """The replica that a process reads, as it was last read from the database."""

    identity: Replica
    """Another one where the database was created anew."""
    streaming: bool = False
    """The server is a streaming replica of PostgreSQL: its rows follow those of its primary."""

    @property
    def details(self) -> dict[str, object]:
        """For `/readyz`."""
        return {**self.identity._asdict(), "streaming": self.streaming}


class DatabaseState(NamedTuple):
    replica: Replica
    streaming: bool
    read_model: str | None
    """The active one of a group's layout; None where there is none yet."""


async def create(url: str, name: str) -> Replica:
    """The identity of a database that may be written; it gets one if it has none.

    Raises:
        WrongReplica: it has another name.
    """
    await prepare(url)
    async with connected(url) as connection:
        await connection.execute(
            f"insert into {ADMIN_SCHEMA}.replica (name) values ($1) on conflict do nothing", name
        )
        row = await connection.fetchrow(f"select name, id from {ADMIN_SCHEMA}.replica")
        assert row is not None, "the row was inserted, or was there"
        return _named(Replica(*row), name)


async def state(connection: Tx | asyncpg.Pool, group: TableGroup, name: str) -> DatabaseState:
    """Identity and active read model of a database that a process reads.

    Raises:
        NoReadModel: no projector has given it an identity yet.
        WrongReplica: it has another name.
    """
    row = await connection.fetchrow(
        f"""
        select r.name, r.id, pg_is_in_recovery(), a.read_model
        from {ADMIN_SCHEMA}.replica as r left join {ADMIN_SCHEMA}.active as a
            on a.projection_group = $1 and a.layout = $2
        """,
        group.name,
        group.layout,
    )
    if row is None:
        raise NoReadModel("no projector of this release has started on this database yet")
    found_name, replica_id, streaming, read_model = row
    return DatabaseState(_named(Replica(found_name, replica_id), name), streaming, read_model)


def _named(found: Replica, name: str) -> Replica:
    if found.name != name:
        raise WrongReplica(
            f"postgres.url leads to the replica {found.name} (id {found.id}), and"
            f" readmodel.replica is {name}: correct one of the two"
        )
    return found
