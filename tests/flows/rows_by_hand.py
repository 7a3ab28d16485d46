"""Events that a test names, written as rows of the group `resources`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import count

from asyncpg import Pool
from msgspec.structs import replace

from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, RecordedEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.projector.folding import fold
from secaplane.projector.groups import RESOURCES
from secaplane.projector.statement import GroupStatement
from secaplane.readmodel.schema import tables
from tests.log.new_events import IDS, REGION, new_event
from tests.positions import nth

TENANT_UID = "t"


class Rows:
    def __init__(self, pool: Pool, positions: "count[int]") -> None:
        self.pool, self._numbers = pool, positions
        self._statement = GroupStatement(RESOURCES.projections)
        self._known: dict[Ref, Resource] = {}
        self._taken: list[RecordedEvent] = []
        self._last: dict[Ref, Position] = {}

    async def take(self, *batch: tuple[Ref, AnyEvent]) -> None:
        """Write one batch."""
        events = [self._recorded(*each) for each in batch]
        self._taken += events
        async with self.pool.acquire() as connection, connection.transaction():
            await self._statement.insert(connection, fold(self._known, events, REGION))

    async def project_again(self, ref: Ref) -> None:
        """Forget a resource, and project its whole history again."""
        own = [each for each in self._taken if each.ref == ref]
        async with self.pool.acquire() as connection, connection.transaction():
            await self._statement.forget(connection, ref)
            await self._statement.insert(connection, fold({}, own, REGION))

    def _recorded(self, ref: Ref, event: AnyEvent) -> RecordedEvent:
        n = next(self._numbers)
        uid = TENANT_UID if ref.kind == "tenant" else f"u{n}"
        written = new_event(ref, event, uid=uid, previous=self._last.get(ref, BEGINNING))
        self._last[ref] = nth(n)
        return replace(
            written, tenant=TENANT_UID, time=written.time + timedelta(milliseconds=n)
        ).at(nth(n))


@asynccontextmanager
async def rows_in(url: str, positions: "count[int] | None" = None) -> AsyncIterator[Rows]:
    pool = await tables.open_pool(url, schema=RESOURCES.tables.first, writes=True)
    yield Rows(pool, positions or count(1))
    await pool.close()


def at(kind: str, name: str, **ids: str) -> Ref:
    return KINDS[kind].ref(dict(IDS) | ids, name)
