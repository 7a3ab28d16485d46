"""Bytes are changed in the stopped store of NATS: what is lost is found, no version is given out
twice, and an operator has a way out."""

import os
from asyncio.subprocess import PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal

import msgspec
import pytest

from secaplane.cli.config import Config
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Json
from tests.faults.kit.stores import damage_store, stop_server
from tests.flows.client import Client, at
from tests.flows.crashing import Scene, scene_of, until
from tests.plane import running_plane
from tests.servers import STREAM

PLACE = "torn"


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    async with running_plane(settings=Config()) as made, scene_of(made) as found:
        yield found


async def test_lost_events_stop_what_they_belong_to_until_an_operator_decides(scene: Scene) -> None:
    client = scene.client
    await client.made(at("workspace", PLACE), {"spec": {}})
    for name in ("middle", "newest", "whole"):
        await grown(client, name)
    await scene.at_rest()
    assert await checked(scene) == (0, [])
    await owned_events_are_lost(scene)
    await an_operator_closes_them(scene)
    await an_event_that_no_row_shows_is_lost(scene)


async def owned_events_are_lost(scene: Scene) -> None:
    """Rows name the resources: these alone are not written, and are read as before."""
    client = scene.client
    before = {name: (await client.get(disk(name))).json for name in ("middle", "newest")}
    middle, newest = await events_of(scene, "middle"), await events_of(scene, "newest")
    await restarted_with_damage(scene, middle[1], newest[-1])
    for name in before:
        await until(refused(client, name, 409), f"a write of {name} is refused")
        answer = await client.get(disk(name))
        assert answer.status == 200
        assert answer.json["metadata"]["resourceVersion"] == 3
    await until(accepted(client, "whole"), "the volume that has lost nothing is written")
    ready = (await client.get("/readyz", token=None)).json
    assert any("2 resources have lost events" in each for each in ready["remarks"]), ready


async def an_operator_closes_them(scene: Scene) -> None:
    status, found = await checked(scene)
    assert status == 1
    holes = [each.place for each in found if each.problem == "hole"]
    assert len(holes) == 2, found
    assert {(each.problem, each.place) for each in found if each.problem != "hole"} == {
        ("chain", place_of("middle")),
        ("row", place_of("newest")),
        ("history", place_of("newest")),
    }
    printed = (await operators(scene, "log", "check"))[1].splitlines()
    assert printed == [f"{each.problem}: {each.place}: {each.detail}" for each in found]
    for name in ("middle", "newest"):
        close = ("quarantine", "close", *place_of(name).split(), "--reason", "lost")
        assert (await operators(scene, *close))[0] == 0
    for hole in holes:
        assert (await acknowledged(scene, hole)) == 0
    for name in ("middle", "newest"):
        await until(accepted(scene.client, name), f"the name {name} is used again")
        answer = await scene.client.get(disk(name))
        assert answer.json["metadata"]["resourceVersion"] > 3


async def an_event_that_no_row_shows_is_lost(scene: Scene) -> None:
    """An event that was recorded and not projected: nothing is written until an operator
    acknowledges its loss."""
    client = scene.client
    await scene.at_rest()
    with scene.stopped("projector"):
        await client.put(disk("unseen"), sized(10))
        lost = (await events_of(scene, "unseen"))[0]
        await restarted_with_damage(scene, lost)
        await until(refused(client, "whole", 503), "nothing is written")
        ready = (await client.get("/readyz", token=None)).json
        assert any(str(lost.position) in each for each in ready["remarks"]), ready
        assert await acknowledged(scene, str(lost.position)) == 0
        await until(accepted(client, "whole"), "writes go on")
    await scene.at_rest()
    assert await acknowledged(scene, f"{STREAM}:1") == 1


# --- writes


def disk(name: str) -> str:
    return at("block-storage", name, workspace=PLACE)


def sized(size: int) -> Json:
    return {"spec": {"sizeGB": size, "skuRef": {"resource": "skus/seca.rd100"}}}


async def grown(client: Client, name: str) -> None:
    for size in (10, 20, 30):
        await client.made(disk(name), sized(size))


def refused(client: Client, name: str, status: int) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        answer = await client.put(disk(name), sized(50))
        assert answer.status in (status, 503), answer
        return answer.status == status

    return holds


def accepted(client: Client, name: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        return (await client.put(disk(name), sized(50))).status in (200, 201)

    return holds


# --- damage


async def events_of(scene: Scene, name: str) -> list[RecordedEvent]:
    return [
        each
        for each in await scene.events()
        if (each.ref.kind, each.ref.name) == ("block-storage", name)
    ]


async def restarted_with_damage(scene: Scene, *lost: RecordedEvent) -> None:
    """Stop NATS, change one byte of each event, and let it start again. Nothing is awaited in
    between, so that the supervisor starts it afterwards."""
    pid, store = scene.pid("nats"), scene.plane.folder / "nats"
    stop_server(pid)
    for each in lost:
        damage_store(store, each.request.encode())
    await scene.started_again("nats", pid)

    async def answers() -> bool:
        return bool(await scene.log.end(STREAM))

    await until(answers, "the log answers")


# --- operators


class Printed(msgspec.Struct, forbid_unknown_fields=True):
    """A line of `secaplane log check --json`, as docs/operate.md describes it."""

    problem: Literal["hole", "cut", "chain", "twice", "undecodable", "row", "history", "snapshot"]
    place: str
    detail: str


async def checked(scene: Scene) -> tuple[int, list[Printed]]:
    """The exit status of `secaplane log check --json`, and what it prints."""
    status, printed = await operators(scene, "log", "check", "--json")
    return status, [msgspec.json.decode(line, type=Printed) for line in printed.splitlines()]


def place_of(name: str) -> str:
    return f"block-storage tenants/demo/workspaces/{PLACE}/block-storages/{name}"


async def acknowledged(scene: Scene, hole: str) -> int:
    return (await operators(scene, "log", "acknowledge", hole, "--reason", "lost"))[0]


async def operators(scene: Scene, *arguments: str) -> tuple[int, str]:
    """`secaplane ...`, with the settings of the plane."""
    process = scene.plane.dev.process("serve")
    command = [*process.argv[:4], *arguments, *process.argv[-2:]]
    made = await create_subprocess_exec(
        *command, env={**os.environ, **process.environment}, stdout=PIPE
    )
    printed, _ = await made.communicate()
    return made.returncode or 0, printed.decode()
