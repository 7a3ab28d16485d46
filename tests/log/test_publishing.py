"""The catalogue of a cloud becomes resources of the shared tenant."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

import pytest

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Delete, Put
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.eventlog.snapshots import MemorySnapshots
from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.errors import Conflict
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.plugin import CatalogueEntry
from secaplane.readmodel import questions
from secaplane.reconcilers import catalogue
from secaplane.reconcilers.catalogue import CatalogueUnavailable, ask, publish
from tests.log.appending import add, first
from tests.log.lagging import LaggingLog
from tests.sealing import SEALERS

SKU = CatalogueEntry("storage-sku", "s", {"iops": 1, "type": "local-durable", "minVolumeSize": 1})
IMAGE = CatalogueEntry(
    "image",
    "debian",
    {"blockStorageRef": {"resource": "block-storages/debian"}, "cpuArchitecture": "amd64"},
    {"os": "debian"},
)
REGION = CatalogueEntry("region", "eu-1", {"availableZones": ["a"]})
REFS = {each.name: catalogue._ref(each) for each in (SKU, IMAGE, REGION)}
TENANT = Ref("tenant", "tenants/seca")
OPERATOR = Actor(sub="operator")


class Publisher:
    """A catalogue on a log in memory; the read model is the log. `outdated_answers`: after this
    process has followed the log, so many questions are answered as of one event earlier."""

    def __init__(self, patch: pytest.MonkeyPatch, *, outdated_answers: int = 0) -> None:
        self.memory = MemoryLog("eu-1")
        self.log = MonotonicLog(LaggingLog(self.memory, outdated_answers=outdated_answers))
        numbers = count(1)
        self.dependencies = CommandDependencies(
            log=self.log,
            cache=ResourceCache(self.log, MemorySnapshots()),
            clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
            new_uid=lambda: f"u{next(numbers)}",
            new_salt=lambda: bytes(16),
            seal=SEALERS.seal,
            children=cast(Any, self._nothing),
            referrers=cast(Any, self._nothing),
            named_by=cast(Any, self._nothing),
            reached=cast(Any, self._reached),
            usage=cast(Any, None),
        )
        self.refs: set[Ref] = set(REFS.values())
        patch.setattr(questions, "living_of", self._living_of)
        patch.setattr(questions, "below", self._below)

    async def publish(self, *entries: CatalogueEntry) -> None:
        await publish(self.dependencies, cast(Any, None), entries, base_url="https://seca.test")

    async def put(self, ref: Ref, spec: dict[str, Any]) -> None:
        self.refs.add(ref)
        await handle(self.dependencies, ref, Put(spec=spec), actor=OPERATOR, request="r")

    async def current(self, ref: Ref) -> Resource | None:
        return await self.dependencies.cache.current(ref)

    async def events(self) -> int:
        return (await self.memory.end("SECA")).sequence

    async def followed(self, *events: AnyEvent) -> None:
        """Events of the SKU that other processes append, and this one follows."""
        before, ref = await self.memory.end("SECA"), REFS["s"]
        for event in events:
            await add(self.memory, ref, event)
        async with aclosing(self.log.follow("SECA", after=before)) as batches:
            await first(batches, len(events))

    async def sku(self) -> list[type[AnyEvent]]:
        return [type(each.event) for each in await self.memory.read(REFS["s"])]

    async def _living(self, kinds: Sequence[str]) -> list[Resource]:
        every = [await self.current(ref) for ref in sorted(self.refs) if ref.kind in kinds]
        return [each for each in every if each is not None and not each.gone]

    async def _living_of(
        self, _: object, kinds: Sequence[str], *, include_terminating: bool
    ) -> list[Ref]:
        living = await self._living(kinds)
        return [each.ref for each in living if include_terminating or not each.terminating]

    async def _below(self, _: object, kinds: Sequence[str], path: str, **__: object) -> list[Ref]:
        return [
            each.ref
            for each in await self._living(kinds)
            if each.ref.path.startswith(path) and not each.terminating
        ]

    async def _nothing(self, *_: object) -> list[Ref]:
        return []

    async def _reached(self, *_: object) -> bool:
        return True


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> Publisher:
    return Publisher(monkeypatch)


async def test_each_entry_is_recorded_once(publisher: Publisher) -> None:
    await publisher.publish(REGION, SKU)
    before = await publisher.events()
    await publisher.publish(REGION, SKU)
    assert (before, await publisher.events()) == (2, 2)
    region = await publisher.current(REFS["eu-1"])
    assert region is not None
    assert region.spec["providers"][0]["url"].startswith("https://seca.test/providers/seca.")


@pytest.fixture
def late(monkeypatch: pytest.MonkeyPatch) -> Publisher:
    return Publisher(monkeypatch, outdated_answers=3)


async def test_what_another_process_has_published_is_not_recorded_again(late: Publisher) -> None:
    """The leader answers as of one event before what this process has followed."""
    await late.followed(Created(spec=SKU.spec))
    await late.publish(SKU)
    assert await late.sku() == [Created]


async def test_what_another_process_withdraws_is_not_withdrawn_again(late: Publisher) -> None:
    await late.followed(Created(spec=SKU.spec), DeletionRequested())
    await late.publish()
    assert await late.sku() == [Created, DeletionRequested]


async def test_what_is_gone_and_offered_again_begins_another_life(late: Publisher) -> None:
    await late.followed(Created(spec=SKU.spec), DeletionRequested(), Deleted())
    await late.publish(SKU)
    assert await late.sku() == [Created, DeletionRequested, Deleted, Created]


async def test_an_entry_that_changed_is_compared_with_the_newest_event(late: Publisher) -> None:
    other = SKU.spec | {"iops": 2}
    await late.followed(Created(spec=other), Updated(spec=SKU.spec))
    await late.publish(SKU)
    assert await late.sku() == [Created, Updated]


async def test_an_image_is_recorded_with_its_defaults_in_a_tenant_of_the_system(
    publisher: Publisher,
) -> None:
    """Strict references do not apply to it: its volume is not in this control plane."""
    await publisher.publish(IMAGE)
    image, tenant = await publisher.current(REFS["debian"]), await publisher.current(TENANT)
    assert image is not None
    assert image.spec == IMAGE.spec | {"boot": "UEFI", "initializer": "none"}
    assert image.labels == {"os": "debian"}
    assert tenant is not None
    assert tenant.spec == {"administrators": [SYSTEM.sub]}
    await publisher.publish(IMAGE)
    assert await publisher.events() == 2


async def test_a_changed_entry_is_updated(publisher: Publisher) -> None:
    await publisher.publish(SKU, IMAGE)
    arm = CatalogueEntry("image", "debian", IMAGE.spec | {"cpuArchitecture": "arm64"})
    await publisher.publish(SKU, arm)
    image = await publisher.current(REFS["debian"])
    assert image is not None
    assert (image.version, image.spec["cpuArchitecture"]) == (2, "arm64")


async def test_an_entry_that_is_no_longer_offered_is_deleted(publisher: Publisher) -> None:
    await publisher.publish(SKU, IMAGE)
    await publisher.publish()
    for name in ("s", "debian"):
        resource = await publisher.current(REFS[name])
        assert resource is not None
        assert resource.terminating


async def test_the_image_of_an_operator_is_left_alone(publisher: Publisher) -> None:
    """True and False: the cloud offers an image of that name, or not."""
    await publisher.put(TENANT, {"administrators": ["jane"]})
    for name in ("debian", "own"):
        await publisher.put(KINDS["image"].ref({"tenant": "seca"}, name), IMAGE.spec)
    before = await publisher.events()
    await publisher.publish(IMAGE)
    assert await publisher.events() == before


async def test_an_image_in_use_stays_and_the_others_are_published(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publisher.publish(IMAGE)
    commands = list[object]()

    async def refuse(*arguments: Any, **_: object) -> None:
        commands.append(arguments[2])
        if isinstance(arguments[2], Delete):
            raise Conflict("a volume refers to it")

    monkeypatch.setattr(catalogue, "handle", refuse)
    await publisher.publish(SKU)
    assert [type(each) for each in commands] == [Put, Delete]


@pytest.mark.parametrize(
    "wrong",
    [
        CatalogueEntry("instance", "i", {}),
        CatalogueEntry("weather", "w", {}),
        CatalogueEntry("storage-sku", "t", {"iops": "many"}),
    ],
)
async def test_nothing_is_published_of_a_catalogue_with_a_wrong_entry(
    publisher: Publisher, wrong: CatalogueEntry
) -> None:
    with pytest.raises(ValueError, match=f"^{wrong.kind} {wrong.name}: "):
        await publisher.publish(SKU, wrong)
    assert await publisher.events() == 0


async def test_whatever_a_plugin_raises_is_one_error() -> None:
    class Away:
        async def catalogue(self) -> None:
            raise KeyError("flavors")

    with pytest.raises(CatalogueUnavailable, match="KeyError: 'flavors'"):
        await ask(cast(Any, Away()))
