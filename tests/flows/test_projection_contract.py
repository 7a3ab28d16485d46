"""The contract of projections holds for every group, and the check finds one that breaks it."""

from collections.abc import Sequence

import pytest

from examples.projection_example import PUTS, TABLES
from secaplane.eventlog.log import Log
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Ref
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.contract import check
from secaplane.projector.folding import ProjectedEvent
from secaplane.projector.groups import HISTORY, RESOURCES
from secaplane.projector.projection import ProjectionGroup
from secaplane.readmodel.schema.group import TableGroup
from secaplane.readmodel.schema.tables import Tx
from tests.flows.simulated_site import LARGE, SMALL
from tests.log.new_events import IDS, REGION, new_event
from tests.servers import GLOBAL_STREAM, STREAM

TENANT = KINDS["tenant"].ref({}, "acme")
WEB = KINDS["workspace"].ref(IDS, "web")
DISKS = [KINDS["block-storage"].ref(IDS, f"disk-{n}") for n in range(3)]
ONE = KINDS["instance"].ref(IDS, "one")
BOOTS = {"bootVolume": {"deviceRef": {"resource": "block-storages/disk-0"}}}


async def lively() -> Log:
    """Two streams, labels, references, quotas, deletions, and a name that is used again."""
    log = MemoryLog(REGION, Streams(STREAM, GLOBAL_STREAM))
    steps: list[tuple[Ref, AnyEvent]] = [
        (TENANT, Created(spec={"quotas": {"volumeGB": 10}})),
        (WEB, Created(spec={})),
        *((disk, Created(spec=SMALL, labels={"env": "demo"})) for disk in DISKS),
        (ONE, Created(spec=BOOTS)),
        (TENANT, Updated(spec={"quotas": {"volumeGB": 30}})),
        (DISKS[1], Updated(spec=LARGE, labels={"env": "prod", "size": "20"})),
        *((disk, DeletionRequested()) for disk in DISKS[1:]),
        *((disk, Deleted()) for disk in DISKS[1:]),
        (DISKS[1], Created(spec=SMALL)),
        (ONE, DeletionRequested()),
        (ONE, Deleted()),
    ]
    for ref, event in steps:
        await log.append(new_event(ref, event, previous=await log.last(ref)))
    return log


@pytest.mark.parametrize("group", [RESOURCES, HISTORY, PUTS], ids=lambda group: group.name)
async def test_every_group_keeps_the_contract(database_url: str, group: ProjectionGroup) -> None:
    await check(database_url, await lively(), group, region=REGION)


class Broken:
    """A projection that counts batches, so that its rows depend on how events are batched."""

    NAME = "puts"
    CHANGES: Sequence[TableChange] = (
        InsertRows(
            "puts",
            {"tenant": "text", "day": "date", "kind": "text", "path": "text", "puts": "bigint"},
            "on conflict (tenant, day, kind, path) do update set puts = puts.puts + 1",
        ),
    )

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        return ([("", folded[0].event.time.date(), "", "", 1)],)

    async def forget(self, tx: Tx, ref: Ref) -> None: ...


async def test_the_check_finds_rows_that_depend_on_batches(database_url: str) -> None:
    group = ProjectionGroup(TableGroup(name="broken", layout=1, tables=TABLES), (Broken(),))
    with pytest.raises(AssertionError, match="other rows"):
        await check(database_url, await lively(), group, region=REGION)
