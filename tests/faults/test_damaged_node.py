"""Bytes change in the stopped store of one of three NATS nodes, which NATS does not repair. While
another node leads, nothing is lost; when the damaged one leads, the loss is found and no version is
given out twice; a node that copies its store from the others again is whole."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Json
from tests.faults.kit.checks import assert_consistent, settled
from tests.faults.kit.fleet import Fleet, fleet
from tests.faults.kit.nats_cluster import NODES
from tests.faults.kit.stores import damage_store, stop_server
from tests.flows.client import SKU, Client, at, client_of
from tests.flows.crashing import until, whole
from tests.servers import STREAM

PLACE = "node"
COUNTS = {"command": 1, "query": 1, "projector": 1, "reconcilers": 1}
REMARK = "resources have lost events"


async def test_a_damaged_node_gives_no_version_out_twice() -> None:
    async with fleet(COUNTS, nodes=len(NODES)) as made:
        await made.kill("command-1")  # it has nothing in its caches, and its own connection
        async with made.client("command-1") as command, made.client("query-1") as query:
            await until(accepted(command, at("workspace", PLACE), {"spec": {}}), "command is back")
            for name in ("middle", "newest", "whole"):
                for size in (10, 20, 30):
                    await until(accepted(command, disk(name), sized(size)), "a volume is written")
                    await settled(made)
            victim = await damaged_follower(made)
            await everything_is_served(made, command, query)
            await the_damaged_node_leads(made, command, query, victim)
            await another_node_leads(made, command, victim)
            await its_store_is_copied_again(made, command, victim)
        await assert_consistent(made)


async def damaged_follower(made: Fleet) -> str:
    leader = await leader_of(made)
    victim = next(each for each in NODES[1:] if each != leader)
    events = await whole(made.log)
    lost = [intents(events, "middle")[1], intents(events, "newest", every=True)[-1]]

    def damage() -> None:
        for each in lost:
            damage_store(made.folder / victim, each.request.encode())

    await started_again(made, victim, damage)
    await made.kill("command-1")
    return victim


async def everything_is_served(made: Fleet, command: Client, query: Client) -> None:
    for name in ("middle", "newest", "whole"):
        await until(version_is(query, name, 3), "it is read")
    await until(accepted(command, disk("whole"), sized(40)), "it is written")
    assert not await remarks(made)


async def the_damaged_node_leads(made: Fleet, command: Client, query: Client, victim: str) -> None:
    await lead(made, victim)
    await until(has_remark(made, lost=True), "command has found the loss")
    answer = await command.put(disk("newest"), sized(40))
    assert answer.status == 409, answer
    await until(version_is(query, "newest", 3), "it is read as before")
    await until(accepted(command, disk("whole"), sized(50)), "others are written")


async def another_node_leads(made: Fleet, command: Client, victim: str) -> None:
    """No restart, and no operator."""
    await lead(made, next(each for each in NODES[1:] if each != victim))
    await until(accepted(command, disk("middle"), sized(60)), "it is written again")
    await until(has_remark(made, lost=False), "no event is lost")


async def its_store_is_copied_again(made: Fleet, command: Client, victim: str) -> None:
    await started_again(made, victim, lambda: shutil.rmtree(made.folder / victim / "data"))
    await until(lambda: current(made, victim), "the node has all events")
    await lead(made, victim)
    for name in ("middle", "newest", "whole"):
        await until(accepted(command, disk(name), sized(70)), "everything is written")
    assert not await remarks(made)


# --- nodes


async def stream_info(made: Fleet) -> dict[str, Any]:
    answer = await made.log._nats.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", 5.0)
    info: dict[str, Any] = msgspec.json.decode(answer.data)
    return info


async def leader_of(made: Fleet) -> str:
    leader: str = (await stream_info(made))["cluster"].get("leader", "")
    return leader


async def current(made: Fleet, node: str) -> bool:
    replicas = (await stream_info(made))["cluster"]["replicas"]
    return any(each["name"] == node and each["current"] for each in replicas)


async def lead(made: Fleet, node: str) -> None:
    """Make a node the leader of the stream."""

    async def leads() -> bool:
        if await leader_of(made) == node:
            return True
        question = msgspec.json.encode({"placement": {"preferred": node}})
        subject = f"$JS.API.STREAM.LEADER.STEPDOWN.{STREAM}"
        await made.log._nats.request(subject, question, 5.0)
        await asyncio.sleep(0.5)
        return False

    await until(leads, f"{node} leads")


async def started_again(made: Fleet, node: str, change: Callable[[], object]) -> None:
    """Stop a node, change its store, and let the supervisor start it again."""
    pid = made.pid(node)
    stop_server(pid)
    change()

    async def restarted() -> bool:
        return made.pid(node) != pid and await current(made, node)

    await until(restarted, f"{node} is back")


# --- volumes


def intents(events: list[RecordedEvent], name: str, *, every: bool = False) -> list[RecordedEvent]:
    own = [each for each in events if (each.ref.kind, each.ref.name) == ("block-storage", name)]
    return [each for each in own if every or "reconciler" not in each.request]


def disk(name: str) -> str:
    return at("block-storage", name, workspace=PLACE)


def sized(size: int) -> Json:
    return {"spec": {"sizeGB": size, "skuRef": SKU}}


def accepted(client: Client, path: str, body: Json) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await client.put(path, body)).status in (200, 201)

    return holds


def version_is(client: Client, name: str, version: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        answer = await client.get(disk(name))
        return answer.status == 200 and answer.json["metadata"]["resourceVersion"] == version

    return holds


async def remarks(made: Fleet) -> list[str]:
    """About lost events, in `/readyz` of `command`."""
    async with client_of(made.monitor("command-1"), None) as monitor:
        answer = await monitor.get("/readyz")
        return [each for each in answer.json.get("remarks", []) if REMARK in each]


def has_remark(made: Fleet, *, lost: bool) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return bool(await remarks(made)) is lost

    return holds
