"""A life sees only itself: lists that show deleted resources show, below a parent, only what began
in the parent's present life. On one stream and on two, whose positions have no order."""

from collections.abc import AsyncIterator, Sequence

import pytest
from msgspec.structs import replace

from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS, parents
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested
from secaplane.model.shape import Json, LifeIds, Ref
from secaplane.query import selectors
from secaplane.readmodel import questions
from secaplane.readmodel.batching import _SMALL, BatchedReads
from tests.flows.crashing import whole
from tests.flows.read_models import ReadModels, read_models
from tests.log.new_events import IDS, REGION, new_event
from tests.positions import STREAM

STREAMS = {"one stream": Streams(STREAM), "two streams": Streams(STREAM, f"{STREAM}-GLOBAL")}
ACME, OTHER = (KINDS["tenant"].ref({}, name) for name in ("acme", "other"))
WEB, NET = KINDS["workspace"].ref(IDS, "web"), KINDS["network"].ref(IDS, "net")
ROLE, SUBNET = KINDS["role"].ref(IDS, "reader"), KINDS["subnet"].ref(IDS, "sub")
ONE, ACCOUNT = KINDS["instance"].ref(IDS, "one"), KINDS["object-storage-account"].ref(IDS, "acc")
GOES = (DeletionRequested(), Deleted())
LABELS = {"env": "prod"}
SPEC: Json = {"cidr": {"ipv4": "10.0.0.0/16"}}


class Scene:
    """Lives and their events, and the lists that show them."""

    def __init__(self, log: MemoryLog, models: ReadModels) -> None:
        self.log, self.models = log, models
        self.uids: dict[Ref, str] = {}

    async def begins(self, *refs: Ref, spec: Json | None = None) -> None:
        for ref in refs:
            life = int(self.uids.get(ref, "-0").rpartition("-")[2]) + 1
            self.uids[ref] = f"{ref.name}-{life}"
            await self._append(ref, Created(spec=spec or SPEC, labels=LABELS))

    async def ends(self, *refs: Ref) -> None:
        for ref in refs:
            for event in GOES:
                await self._append(ref, event)

    async def _append(self, ref: Ref, event: AnyEvent) -> None:
        written = new_event(ref, event, uid=self.uids[ref], previous=await self.log.last(ref))
        tenant = KINDS["tenant"].ref({}, ref.scope("tenants"))
        await self.log.append(replace(written, tenant=self.uids[tenant]))

    async def project(self) -> None:
        for each in self.models.projectors(self.log):
            await each.begin()
            await each.project(await whole(self.log, each.stream.name))
            assert not each.quarantined

    async def listed(
        self, ref: Ref, *, deleted: bool | None = None, labels: str = ""
    ) -> Sequence[questions.Row]:
        return await questions.page(
            self.models.resources,
            ref.kind,
            ref.collection,
            after=("", 0),
            limit=9,
            deleted=deleted,
            selection=selectors.selection(selectors.terms(labels) if labels else []),
        )

    async def shown(self, ref: Ref, **query: object) -> int:
        counts = {len(await self.listed(ref, labels=each, **query)) for each in SELECTORS}  # type: ignore[arg-type]
        assert len(counts) == 1, "every way through the index shows the same"
        return counts.pop()


SELECTORS = ("", "env=prod", "env=p*", "*=prod", "env!=test")
BOTH, ONLY = {"deleted": None}, {"deleted": True}


@pytest.fixture(params=list(STREAMS.values()), ids=list(STREAMS))
async def scene(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Scene]:
    async with read_models(database_url) as models:
        yield Scene(MemoryLog(REGION, request.param), models)


async def test_a_tenant_made_anew_shows_nothing_of_its_former_life(scene: Scene) -> None:
    await scene.begins(OTHER)  # the two streams have different numbers of events
    await scene.begins(ACME, WEB, ROLE, NET, SUBNET, ONE)
    await scene.ends(SUBNET, ONE, NET, WEB, ROLE)
    await scene.project()
    for ref in (WEB, ROLE):
        assert await scene.shown(ref, **BOTH) == await scene.shown(ref, **ONLY) == 1
    for ref in (NET, SUBNET, ONE):  # their parents are gone
        assert await scene.shown(ref, **BOTH) == await scene.shown(ref, **ONLY) == 0
    await scene.ends(ACME)
    await scene.project()
    for ref in (WEB, ROLE, NET, SUBNET, ONE):
        assert await scene.shown(ref, **BOTH) == await scene.shown(ref, **ONLY) == 0
    await scene.begins(ACME, WEB, NET, ROLE)
    await scene.project()
    for ref in (WEB, NET, ROLE):
        assert await scene.shown(ref, **BOTH) == 1
        assert await scene.shown(ref, **ONLY) == 0
    for ref in (SUBNET, ONE):
        assert await scene.shown(ref, **BOTH) == 0
    assert await scene.shown(ACME, **BOTH) == 3  # two lives of it, and another tenant
    assert await scene.shown(ACME, **ONLY) == 1


async def test_a_workspace_made_anew_shows_its_own_former_lives_to_its_tenant_alone(
    scene: Scene,
) -> None:
    await scene.begins(ACME, WEB, NET, SUBNET, ONE)
    await scene.ends(SUBNET, ONE, NET, WEB)
    await scene.begins(WEB, NET)
    await scene.begins(SUBNET)
    await scene.ends(SUBNET)
    await scene.begins(SUBNET)
    await scene.project()
    assert await scene.shown(WEB, **BOTH) == 2
    assert await scene.shown(ONE, **BOTH) == 0
    assert await scene.shown(NET, **BOTH) == 1
    assert await scene.shown(SUBNET, **BOTH) == 2
    assert await scene.shown(SUBNET, **ONLY) == 1


async def test_the_secrets_of_a_life_are_opened_until_it_is_gone(scene: Scene) -> None:
    await scene.begins(ACME, WEB)
    await scene.begins(ONE, spec={"zone": "a", "userData": "sealed:k1:a:b"})
    await scene.project()
    (row,) = await scene.listed(ONE)
    assert "sealed:k1" in (row.document or "")
    assert row.life_ids == LifeIds("acme-1", "one-1")
    reads = BatchedReads(scene.models.resources)
    found = (await reads._select({ONE, WEB}, _SMALL.compared))[ONE]
    assert found is not None
    assert found.life_ids == LifeIds("acme-1", "one-1")
    await scene.ends(ONE)
    await scene.project()
    (row,) = await scene.listed(ONE, deleted=True)
    assert '"zone":"a"' in (row.document or "")
    assert "sealed" not in (row.document or "")
    assert "userData" not in (row.document or "")


async def test_history_names_the_life_of_the_tenant(scene: Scene) -> None:
    await scene.begins(ACME, WEB)
    await scene.ends(WEB, ACME)
    await scene.begins(ACME, WEB)
    await scene.project()
    rows = await scene.models.history.fetch(
        "select uid, tenant from history where type = 'created' order by stream, position"
    )
    assert sorted(map(tuple, rows)) == [
        ("acme-1", "acme-1"),
        ("acme-2", "acme-2"),
        ("web-1", "acme-1"),
        ("web-2", "acme-2"),
    ]


def test_every_parent_but_a_tenant_is_in_the_stream_of_its_children() -> None:
    """So that their positions have an order."""
    for kind in KINDS.values():
        for parent in parents(Ref(kind.name, f"{kind.collection}/-")):
            for streams in STREAMS.values():
                same = streams.of(parent.kind) == streams.of(kind.name)
                assert same or parent.kind == "tenant", kind.name
