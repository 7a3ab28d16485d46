"""Rows are behind while one process takes what another one deletes: the write that was recorded
first stays, the other is reverted, and neither waits for ever. Also if the process that recorded
the later one died before it judged again."""

import asyncio
import os
import signal
from itertools import product

from tests.flows.client import Client, at
from tests.flows.crashing import Scene, until

PLACE = "behind"
RECORDED_S = 0.6
"""After it a write is recorded, and its process waits for the rows to judge it again."""
VOLUME = {"spec": {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd100"}}}


def machine(disk: str) -> object:
    spec = {"skuRef": {"resource": "skus/seca.dxs"}, "zone": "a"}
    return {"spec": spec | {"bootVolume": {"deviceRef": {"resource": f"block-storages/{disk}"}}}}


class Pair:
    """A resource that is deleted, and one that takes it: a volume and its referrer, or a workspace
    and its child."""

    def __init__(self, link: str, n: int) -> None:
        name = f"{link}{n}"
        if link == "used":
            self.target = at("block-storage", name, workspace=PLACE)
            self.taker = at("instance", f"vm-{name}", workspace=PLACE)
            self.given, self.body = VOLUME, machine(name)
        else:
            self.target = at("workspace", name)
            self.taker = at("block-storage", "disk", workspace=name)
            self.given, self.body = {"spec": {}}, VOLUME


async def test_of_a_use_and_a_deletion_that_rows_do_not_show_yet_the_first_stays(
    scene: Scene,
) -> None:
    client = scene.client
    await client.made(at("workspace", PLACE), {"spec": {}})
    await client.made(at("block-storage", "warm", workspace=PLACE), VOLUME)
    links = product(("used", "inside"), (False, True), (False, True))
    pairs = [(Pair(link, n), order, dies) for n, (link, order, dies) in enumerate(links)]
    for pair, _, _ in pairs:
        await client.made(pair.target, pair.given)
    async with scene.another_serve() as other:
        for pair, taken_first, dies in pairs:
            await scene.at_rest()
            await behind(scene, other, pair, taken_first, dies)
            await settled(client, pair)


async def behind(scene: Scene, other: Client, pair: Pair, taken_first: bool, dies: bool) -> None:
    """Both writes while the projector is stopped; the later one by the process that dies."""
    with scene.stopped("projector"):
        first = other.put(pair.taker, pair.body) if taken_first else other.delete(pair.target)
        earlier = asyncio.ensure_future(first)
        await asyncio.sleep(RECORDED_S)
        client = scene.client
        later = client.delete(pair.target) if taken_first else client.put(pair.taker, pair.body)
        writing = asyncio.ensure_future(later)
        if dies:
            await asyncio.sleep(RECORDED_S)
            pid = scene.pid("serve")
            os.kill(pid, signal.SIGKILL)
        await asyncio.gather(earlier, writing, return_exceptions=True)
    if dies:
        await scene.started_again("serve", pid)
        await scene.plane.children.ready("serve")


async def settled(client: Client, pair: Pair) -> None:
    """Either both are there and active, or what was deleted is gone, and nothing is left in it."""

    async def rests() -> bool:
        target, taker = await client.get(pair.target), await client.get(pair.taker)
        states = [each.json["status"]["state"] for each in (target, taker) if each.status == 200]
        if target.status == 200:
            return states[0] == "active" and set(states) == {"active"}
        return target.status == 404 and taker.status == 404

    await until(rests, f"{pair.target} and {pair.taker} wait for each other no more")
