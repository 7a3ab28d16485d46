"""Many at once, through two processes that answer: nobody is lost, nobody is counted twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from cli.config import Config
from tests.flows.client import VOLUME, Answer, Client, at
from tests.flows.crashing import Scene, scene_of
from tests.stand import Stand, kept

AT_ONCE = 50
TRIALS, TRIALS_AT_ONCE = 300, 6
ACCEPTED = (200, 201, 202)
HEAD_STARTS_S = (0.0, 0.001, 0.002, 0.004, 0.008)


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    with kept(Config()) as made:
        yield made


@pytest.fixture
async def scene(stand: Stand) -> AsyncIterator[Scene]:
    async with scene_of(stand) as made:
        yield made


async def test_contention_is_never_a_refusal(scene: Scene) -> None:
    """While its reconciler reports on it, too."""
    path = at("workspace", "wanted")
    puts = [scene.client.put(path, {"spec": {}, "labels": {"n": str(n)}}) for n in range(AT_ONCE)]
    answers = await asyncio.gather(*puts)
    assert Counter(each.status for each in answers) == {201: 1, 200: AT_ONCE - 1}
    assert sorted(version(each) for each in answers) == list(range(1, AT_ONCE + 1))
    last = max(answers, key=version)
    shown = await scene.client.active(path)
    assert shown.json["labels"] == last.json["labels"]
    await scene.at_rest()


async def test_of_two_processes_each_lets_the_other_have_its_turn(scene: Scene) -> None:
    async with scene.another_serve() as other:
        path = at("workspace", "shared")
        await scene.client.made(path, {"spec": {}})
        answers = await asyncio.gather(
            *(door.put(path, {"spec": {}}) for _ in range(10) for door in (scene.client, other))
        )
        assert {each.status for each in answers} == {200}
        assert sorted(version(each) for each in answers) == list(range(2, 22))
        await scene.client.active(path)


async def test_of_those_who_saw_the_same_version_one_wins(scene: Scene) -> None:
    async with scene.another_serve() as other:
        path = at("workspace", "conditional")
        await scene.client.made(path, {"spec": {}})
        for seen in range(1, 9):
            answers = await asyncio.gather(
                *(
                    door.put(path, {"spec": {}}, if_unmodified_since=str(seen))
                    for _ in range(8)
                    for door in (scene.client, other)
                )
            )
            assert Counter(each.status for each in answers) == {200: 1, 412: 15}
        fresh = at("workspace", "conditional-fresh")
        answers = await asyncio.gather(
            *(
                door.put(fresh, {"spec": {}}, if_unmodified_since="0")
                for _ in range(8)
                for door in (scene.client, other)
            )
        )
        assert Counter(each.status for each in answers) == {201: 1, 412: 15}


async def test_no_child_outlives_its_parent_however_close_the_race(scene: Scene) -> None:
    numbers = iter(range(TRIALS))
    outcomes: Counter[tuple[int, int]] = Counter()

    async def try_on(other: Client) -> None:
        for n in numbers:
            outcomes[await trial(scene.client, other, n)] += 1

    async with scene.another_serve() as other, asyncio.TaskGroup() as group:
        for _ in range(TRIALS_AT_ONCE):
            group.create_task(try_on(other))
    assert sum(outcomes.values()) == TRIALS
    assert set(outcomes) <= {(201, 409), (409, 202), (404, 202)}, outcomes
    await scene.at_rest()
    orphans = """
        select path from resources as child
        where kind = 'block-storage' and not gone and not exists (
            select from resources as parent
            where parent.kind = 'workspace' and not parent.gone and not parent.deleted
            and child.path like parent.path || '/%'
        )
    """
    async with scene.pool() as pool:
        assert await pool.fetch(orphans) == []
        left = await pool.fetchval(
            "select count(*) from resources where path like '%/workspaces/trial%' and not gone"
        )
    assert left == 2 * outcomes[(201, 409)]


async def trial(one: Client, other: Client, n: int) -> tuple[int, int]:
    """What became of a child's creation, and of its parent's deletion. Sometimes the one has a head
    start, sometimes the other."""
    home = at("workspace", f"trial{n}")
    child = at("block-storage", "child", workspace=f"trial{n}")
    doors = (one, other) if n % 2 else (other, one)
    assert (await one.put(home, {"spec": {}})).status == 201
    head_start_s = HEAD_STARTS_S[n // 2 % len(HEAD_STARTS_S)]
    waits = (head_start_s, 0.0) if n // 10 % 2 else (0.0, head_start_s)

    async def create() -> Answer:
        await asyncio.sleep(waits[0])
        return await doors[0].put(child, VOLUME)

    async def delete() -> Answer:
        await asyncio.sleep(waits[1])
        return await doors[1].delete(home)

    created, deleted = await asyncio.gather(create(), delete())
    return created.status, deleted.status


def version(answer: Answer) -> int:
    return int(answer.json["metadata"]["resourceVersion"])
