"""Many at once, through two processes that answer: nobody is lost, nobody is counted twice.

What becomes of a child when its parent is deleted beside it: test_no_orphan.py.
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


async def test_of_two_processes_each_lets_the_other_have_its_turn(scene: Scene) -> None:
    async with scene.another_serve() as other:
        path = at("workspace", "shared")
        await scene.client.made(path, {"spec": {}})
        answers = await asyncio.gather(
            *(
                dependencies.put(path, {"spec": {}})
                for _ in range(10)
                for dependencies in (scene.client, other)
            )
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
                    dependencies.put(path, {"spec": {}}, if_unmodified_since=str(seen))
                    for _ in range(8)
                    for dependencies in (scene.client, other)
                )
            )
            assert Counter(each.status for each in answers) == {200: 1, 412: 15}
        fresh = at("workspace", "conditional-fresh")
        answers = await asyncio.gather(
            *(
                dependencies.put(fresh, {"spec": {}}, if_unmodified_since="0")
                for _ in range(8)
                for dependencies in (scene.client, other)
            )
        )
        assert Counter(each.status for each in answers) == {201: 1, 412: 15}


def version(answer: Answer) -> int:
    return int(answer.json["metadata"]["resourceVersion"])
