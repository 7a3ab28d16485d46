"""The example of a projection (examples/projection_example.py) on a real log and database."""

from datetime import date, timedelta
from importlib.metadata import EntryPoint

import pytest
from msgspec.structs import replace
from nats.aio.client import Client as Nats

from examples.projection_example import PUTS
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, DeletionRequested, Updated
from secaplane.model.position import position
from secaplane.model.shape import Ref
from secaplane.projector import groups
from secaplane.projector.rebuild import first, rebuild
from secaplane.projector.retry import retry
from secaplane.projector.statement import GroupStatement
from secaplane.readmodel.schema.active import open_read_model_pool
from tests.flows.crashing import whole
from tests.flows.read_models import projector
from tests.flows.simulated_site import LARGE, SMALL
from tests.log.new_events import IDS, NOON, REGION, new_event
from tests.positions import STREAM

PER_DAY = "select tenant, day, sum(puts) from puts group by tenant, day order by tenant, day"
EXPECTED = [
    ("acme", date(2026, 1, 1), 3),
    ("acme", date(2026, 1, 2), 1),
    ("zeta", date(2026, 1, 1), 1),
]


async def puts(log: JetStreamLog) -> None:
    """Three volumes of two tenants on two days; one update follows from another event."""
    one, two = (KINDS["block-storage"].ref(IDS, name) for name in ("one", "two"))
    other = KINDS["block-storage"].ref(dict(IDS) | {"tenant": "zeta"}, "one")
    steps: list[tuple[Ref, AnyEvent, int, bool]] = [
        (one, Created(spec=SMALL), 0, True),
        (two, Created(spec=SMALL), 0, True),
        (one, Updated(spec=LARGE), 0, True),
        (one, Updated(spec=SMALL), 0, False),
        (other, Created(spec=SMALL), 0, True),
        (two, Updated(spec=LARGE), 1, True),
        (two, DeletionRequested(), 1, True),
    ]
    for ref, event, day, by_caller in steps:
        new = new_event(ref, event, previous=await log.last(ref))
        cause = new.cause if by_caller else position(STREAM, 1)
        await log.append(replace(new, time=NOON + timedelta(days=day), cause=cause))


async def test_the_example_counts_puts_by_tenant_and_day(
    nats_client: Nats, fresh_stream: str, database_url: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await puts(log)
    assert await first(database_url, log, PUTS, region=REGION) is not None
    await rebuild(database_url, log, PUTS, region=REGION)
    reading = await open_read_model_pool(database_url, PUTS.tables)
    assert reading.read_model == "puts_2"
    assert [tuple(row) for row in await reading.pool.fetch(PER_DAY)] == EXPECTED
    await reading.pool.close()


@pytest.mark.parametrize("batch_max", [1, 2, 100])
async def test_the_example_gives_the_same_rows_however_events_are_batched(
    nats_client: Nats, fresh_stream: str, database_url: str, batch_max: int
) -> None:
    """And after a resource was forgotten and projected again."""
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.prepare()
    await first(database_url, log, PUTS, region=REGION)
    await puts(log)
    events = await whole(log)
    reading = await open_read_model_pool(database_url, PUTS.tables)
    made = projector(reading.pool, log, PUTS)
    await made.begin()
    for begin in range(0, len(events), batch_max):
        await made.project(events[begin : begin + batch_max])
    assert [tuple(row) for row in await reading.pool.fetch(PER_DAY)] == EXPECTED
    ref = events[0].ref
    await reading.pool.execute(
        "insert into quarantine values ($1, $2, $3, 1, 'as if')", ref.kind, ref.path, STREAM
    )
    async with reading.pool.acquire() as connection:
        await GroupStatement(PUTS.projections).forget(connection, ref)
    assert [tuple(row) for row in await reading.pool.fetch(PER_DAY)] != EXPECTED
    assert await retry(reading.pool, log, PUTS, region=REGION) == {}
    assert [tuple(row) for row in await reading.pool.fetch(PER_DAY)] == EXPECTED
    await reading.pool.close()


ENTRY_POINT = EntryPoint("puts", "examples.projection_example:PUTS", groups.ENTRY_POINTS)


def test_an_entry_point_adds_a_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "entry_points", lambda *, group: [ENTRY_POINT])
    assert groups.groups() == (groups.RESOURCES, groups.HISTORY, groups.ACTIVITY, PUTS)


def test_two_groups_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "entry_points", lambda *, group: [ENTRY_POINT, ENTRY_POINT])
    with pytest.raises(ValueError, match="one name"):
        groups.groups()


def test_the_example_is_short() -> None:
    with open("examples/projection_example.py") as file:
        assert len(file.readlines()) <= 60
