"""No wrong 404 and no stale answer by name, in every process that answers GETs, also while nothing
is projected."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

import msgspec

from secaplane.cli.dev.plane import OPERATOR
from secaplane.cli.operate import revocations, tenants
from secaplane.model.shape import Json
from secaplane.readmodel.schema.tables import READER
from tests.flows.client import SKU, Client, at
from tests.flows.crashing import Scene, put_accepted, until
from tests.servers import STREAM

WRITES, WRITERS, KILLS = 1000, 16, 3
WEB = at("workspace", "named")


def size(gigabytes: int) -> Json:
    return {"spec": {"sizeGB": gigabytes, "skuRef": SKU}}


def volume(name: str) -> str:
    return at("block-storage", name, workspace="named")


def gateway(name: str) -> str:
    return at("internet-gateway", name, workspace="named")


async def test_what_was_accepted_is_found_while_the_projector_is_killed(scene: Scene) -> None:
    await scene.client.made(WEB, {})
    numbers = iter(range(WRITES))
    wrong: list[str] = []

    async def write() -> None:
        for n in numbers:
            path = volume(f"v{n}")
            for gigabytes in (1, 2) if n % 10 == 0 else (1,):
                await put_accepted(scene.client, path, size(gigabytes))
                answer = await scene.client.get(path)
                if answer.status != 200 or answer.json["spec"]["sizeGB"] != gigabytes:
                    wrong.append(f"{path}: {answer.status} {answer.body[:80]!r}")

    async def kill() -> None:
        for _ in range(KILLS):
            await asyncio.sleep(1)
            os.kill(scene.pid("projector"), signal.SIGKILL)

    async with asyncio.TaskGroup() as group:
        group.create_task(kill())
        for _ in range(WRITERS):
            group.create_task(write())
    assert wrong == []
    await scene.at_rest()


async def test_a_changed_and_a_deleted_resource_are_known_before_they_are_projected(
    scene: Scene,
) -> None:
    await scene.client.made(WEB, {})
    await scene.client.made(gateway("old"), {"spec": {}})
    async with scene.another_serve(side="query") as reader:
        before = (await reader.get(gateway("old"))).headers["ETag"]
        with scene.stopped("projector"):
            for n in (2, 3):
                changed = {"labels": {"n": str(n)}, "spec": {}}
                assert (await scene.client.put(gateway("old"), changed)).status == 200
                for client in (scene.client, reader):
                    found = await client.get(gateway("old"), If_None_Match=before)
                    assert (found.status, found.json["labels"]) == (200, {"n": str(n)})
                    assert found.headers["ETag"].startswith(f'"{n}-')
            made = await scene.client.put(gateway("new"), {"spec": {}})
            assert made.status == 201
            position = made.headers["Secaplane-Position"]
            assert (await reader.get(gateway("new"), Secaplane_At_Least=position)).status == 200
            beyond = await reader.get(gateway("new"), Secaplane_At_Least=f"{STREAM}:{10**9}")
            assert beyond.status == 503
            for client in (scene.client, reader):
                assert (await client.get(gateway("new"))).status == 200
                assert (await client.get(gateway("none"))).status == 404
                assert (await client.head(gateway("new"))).status == 200
            assert (await scene.client.delete(gateway("old"))).status == 202
            for client in (scene.client, reader):
                await client.gone(gateway("old"))
        await scene.at_rest()
        for client in (scene.client, reader):
            assert (await client.get(gateway("old"))).status == 404
            assert (await client.get(gateway("new"))).status == 200


async def test_a_process_that_starts_behind_knows_that_it_is(scene: Scene) -> None:
    await scene.client.made(WEB, {})
    await scene.client.made(gateway("late"), {"spec": {}})
    with scene.stopped("projector"):
        changed = {"labels": {"a": "b"}, "spec": {}}
        assert (await scene.client.put(gateway("late"), changed)).status == 200
        async with scene.another_serve(side="query") as reader:
            found = await reader.get(gateway("late"))
            assert (found.status, found.json["labels"]) == (200, {"a": "b"})


async def test_a_list_shows_what_was_acknowledged_in_its_tenant_once_it_is_projected(
    scene: Scene,
) -> None:
    await scene.client.made(WEB, {})
    async with scene.another_serve(side="query") as reader:
        collection = at("internet-gateway", workspace="named")

        async def listed(client: Client) -> list[str]:
            return (await client.get(collection)).names

        with scene.stopped("projector"):
            assert (await scene.client.put(gateway("listed"), {"spec": {}})).status == 201
            waiting = [asyncio.create_task(listed(each)) for each in (scene.client, reader)]
            await asyncio.sleep(0.3)
            assert not any(each.done() for each in waiting)
        for each in waiting:
            assert "listed" in await each


async def test_lists_of_operators_wait_for_what_their_commands_and_requests_wrote(
    scene: Scene,
) -> None:
    dev, change = scene.plane.dev, msgspec.structs.replace
    config = change(
        dev.config,
        nats=change(dev.config.nats, url=dev.nats("serve")),
        postgres=change(dev.config.postgres, url=dev.postgres(READER)),
    )
    spec: Json = {"administrators": ["jane"]}
    operator = scene.client.by(dev.token(OPERATOR))
    writes: dict[str, Callable[[], Awaitable[object]]] = {
        at("tenant"): lambda: tenants.create(config, "by-command", ["jane"]),
        at("revocation"): lambda: revocations.revoke(config, {"jti": "by-command"}),
        at("role-assignment", tenant="by-put"): lambda: operator.put(
            at("tenant", "by-put"), {"spec": spec}
        ),
    }

    async def listed(collection: str) -> int:
        tenant = "by-put" if "by-put" in collection else ""
        caller = operator if not tenant else scene.client.by(dev.token("jane"))
        return len((await caller.get(collection)).names)

    before = {each: await listed(each) for each in (at("tenant"), at("revocation"))}
    with scene.stopped("projector"):
        for write in writes.values():
            await write()
        waiting = {each: asyncio.create_task(listed(each)) for each in writes}
        await asyncio.sleep(0.3)
        assert not any(each.done() for each in waiting.values())
    assert await waiting[at("tenant")] == before[at("tenant")] + 2
    assert await waiting[at("revocation")] == before[at("revocation")] + 1
    assert await waiting[at("role-assignment", tenant="by-put")] == 1


async def test_without_the_log_rows_are_answered_and_absence_is_not(scene: Scene) -> None:
    await scene.client.made(WEB, {})
    await scene.at_rest()
    with scene.stopped("nats"):
        assert (await scene.client.get(WEB)).status == 200
        unknown = await scene.client.get(at("workspace", "unknown"))
        assert (unknown.status, unknown.headers["Retry-After"]) == (503, "1")

    async def answers() -> bool:
        return (await scene.client.get(at("workspace", "unknown"))).status == 404

    await until(answers, "the log answers again")
