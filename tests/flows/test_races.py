"""Concurrent writes through two processes: every one is recorded, and counted once.

The deletion of a parent while children are created: test_no_orphan.py.
"""

import asyncio
from collections import Counter

from tests.flows.client import Answer, at
from tests.flows.crashing import Scene

AT_ONCE = 50


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


async def test_two_processes_write_the_same_resource_concurrently(scene: Scene) -> None:
    async with scene.another_serve() as other:
        path = at("workspace", "shared")
        await scene.client.made(path, {"spec": {}})
        answers = await asyncio.gather(
            *(client.put(path, {"spec": {}}) for _ in range(10) for client in (scene.client, other))
        )
        assert {each.status for each in answers} == {200}
        assert sorted(version(each) for each in answers) == list(range(2, 22))
        await scene.client.active(path)


async def test_one_of_several_writers_with_the_same_version_wins(scene: Scene) -> None:
    async with scene.another_serve() as other:
        path = at("workspace", "conditional")
        await scene.client.made(path, {"spec": {}})
        for seen in range(1, 9):
            answers = await asyncio.gather(
                *(
                    client.put(path, {"spec": {}}, if_unmodified_since=str(seen))
                    for _ in range(8)
                    for client in (scene.client, other)
                )
            )
            assert Counter(each.status for each in answers) == {200: 1, 412: 15}
        fresh = at("workspace", "conditional-fresh")
        answers = await asyncio.gather(
            *(
                client.put(fresh, {"spec": {}}, if_unmodified_since="0")
                for _ in range(8)
                for client in (scene.client, other)
            )
        )
        assert Counter(each.status for each in answers) == {201: 1, 412: 15}


def version(answer: Answer) -> int:
    return int(answer.json["metadata"]["resourceVersion"])
