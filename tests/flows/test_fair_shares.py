"""One tenant has more work than the reconcilers can do: its own accepted writes are delayed, and no
other tenant waits for it (docs/decisions/044)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import OPERATOR
from secaplane.cli.settings import WritesSettings
from secaplane.model.events import Deleted, RecordedEvent, StatusReported
from secaplane.model.shape import State
from tests.flows.client import VOLUME, Answer, at
from tests.flows.crashing import Scene, scene_of, until
from tests.flows.tenant_setup import put_tenant
from tests.plane import running_plane

BUSY, OTHER = "demo", "other"
VOLUMES, AT_ONCE = 240, 16
HELD_S = 3.0
"""Time that the slow cloud takes for a change: the busy tenant gets at most eight in a second."""
BACKLOG_S = 10.0
"""Then an accepted write is delayed by 0.9 s or more."""
COUNTED_S = 5.0
SETTINGS = Config(writes=WritesSettings(delay_seconds_max=5.0))
SMALLER = VOLUME | {"spec": VOLUME["spec"] | {"sizeGB": 1}}


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with running_plane(settings=SETTINGS) as made, scene_of(made) as found:
        operator = found.client.by(made.dev.token(OPERATOR))
        await put_tenant(operator, OTHER, None)
        workspaces = at("workspace", tenant=OTHER)
        await found.client.until(workspaces, lambda answer: answer.status == 200)
        for tenant in (BUSY, OTHER):
            await found.client.made(workspace(tenant), {})
        yield found


async def test_a_tenant_with_a_backlog_delays_no_other_one(scene: Scene) -> None:
    await its_accepted_writes_are_delayed_and_nothing_else_is(scene)
    await its_mass_deletion_goes_on_behind_the_creations_of_all(scene)


async def its_accepted_writes_are_delayed_and_nothing_else_is(scene: Scene) -> None:
    """All callers send one request after the other, and their answers are counted."""
    client = scene.client
    await client.made(volume(BUSY, "before"), VOLUME)
    await scene.site.misbehave(hold_answers_s=HELD_S)
    await each_of(range(VOLUMES), lambda n: client.put(volume(BUSY, f"v{n}"), VOLUME), {201})

    async def behind() -> bool:
        return await backlog_s(scene) >= BACKLOG_S

    await until(behind, "the reconcilers are behind")
    counts = await counted(
        {
            "accepted": (lambda n: client.put(workspace(BUSY), labelled(n)), 200),
            "of another tenant": (lambda n: client.put(workspace(OTHER), labelled(n)), 200),
            "read": (lambda n: client.get(volume(BUSY, "before")), 200),
            "listed": (lambda n: client.get(f"{at('workspace')}?limit=1"), 200),
            "refused": (lambda n: client.put(volume(BUSY, "before"), SMALLER), 422),
        }
    )
    assert await backlog_s(scene) > BACKLOG_S / 2, "the backlog lasted"
    accepted = counts.pop("accepted")
    assert accepted > 0
    assert min(counts.values()) > 2 * accepted, (accepted, counts)
    await scene.site.misbehave()
    await scene.at_rest()


async def its_mass_deletion_goes_on_behind_the_creations_of_all(scene: Scene) -> None:
    """The reconcilers are stopped until all deletions are accepted, and the creations after them:
    in the order of the log the creations would be the last."""
    client = scene.client
    await scene.site.misbehave(hold_answers_s=0.5)
    with scene.stopped("reconcilers"):
        await each_of(range(VOLUMES), lambda n: client.delete(volume(BUSY, f"v{n}")), {202})
        for tenant in (OTHER, BUSY):
            assert (await client.put(volume(tenant, "new"), VOLUME)).status == 201
    for tenant in (OTHER, BUSY):
        await client.active(volume(tenant, "new"))
    await scene.site.misbehave()
    await scene.at_rest()
    events = await scene.events()
    removed = [each.position for each in events if isinstance(each.event, Deleted)]
    assert len(removed) == VOLUMES
    for tenant in (OTHER, BUSY):
        active = next(each.position for each in events if is_active(each, tenant))
        assert sum(position > active for position in removed) > VOLUMES / 2, tenant


def is_active(each: RecordedEvent, tenant: str) -> bool:
    there = each.ref.name == "new" and each.ref.scope("tenants") == tenant
    return there and isinstance(each.event, StatusReported) and each.event.state is State.ACTIVE


def workspace(tenant: str) -> str:
    return at("workspace", "fair", tenant=tenant)


def volume(tenant: str, name: str) -> str:
    return at("block-storage", name, tenant=tenant, workspace="fair")


def labelled(number: int) -> object:
    return {"labels": {"n": str(number)}, "spec": {}}


Ask = Callable[[int], Awaitable[Answer]]


async def each_of(numbers: Iterable[int], ask: Ask, statuses: set[int]) -> None:
    left = iter(numbers)

    async def some() -> None:
        for n in left:
            answer = await ask(n)
            assert answer.status in statuses, answer

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(some())


async def counted(callers: dict[str, tuple[Ask, int]]) -> Counter[str]:
    """The answers that each caller gets in the same time."""
    counts, end = Counter[str](), asyncio.get_running_loop().time() + COUNTED_S

    async def caller(name: str, ask: Ask, status: int) -> None:
        while asyncio.get_running_loop().time() < end:
            answer = await ask(counts[name])
            assert answer.status == status, answer
            counts[name] += 1

    async with asyncio.TaskGroup() as group:
        for name, (ask, status) in callers.items():
            group.create_task(caller(name, ask, status))
    return counts


async def backlog_s(scene: Scene) -> float:
    """The longest wait for a reconciler, as the process that accepts writes knows it."""
    lines = (await scene.client.get("/metrics", token=None)).body.decode().splitlines()
    name = "secaplane_backlog_seconds "
    return next(float(line.split()[1]) for line in lines if line.startswith(name))
