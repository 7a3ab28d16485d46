"""The log is full: writes are refused and `command` is not ready; both end without a restart when
there is space again, and what was accepted before is worked off."""

import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec

from secaplane.cli.dev.plane import PROCESSES
from secaplane.model.shape import Json
from tests.flows.client import VOLUME, Answer, Client, at
from tests.flows.crashing import Scene, until
from tests.servers import STREAM

PLACE = "full"
SPARE_BYTES = 64
"""Less than any event."""
GIB = 1 << 30
UNLIMITED = -1
WRITES_MAX = 200


@dataclass
class Limit:
    """A limit of the log that a test lowers below what is used, and raises again."""

    name: str
    reason: str
    """In `/readyz` while the limit is reached."""
    lower: Callable[[Scene], Awaitable[None]]
    raised: Callable[[Scene], Awaitable[None]]


# --- the limits


async def limited_stream(scene: Scene, max_bytes: int) -> None:
    known = await asked(scene, f"$JS.API.STREAM.INFO.{STREAM}", b"")
    config = known["config"] | {"max_bytes": max_bytes, "discard": "new"}
    await asked(scene, f"$JS.API.STREAM.UPDATE.{STREAM}", msgspec.json.encode(config))


async def stream_full(scene: Scene) -> None:
    known = await asked(scene, f"$JS.API.STREAM.INFO.{STREAM}", b"")
    await limited_stream(scene, known["state"]["bytes"] + SPARE_BYTES)


async def stream_raised(scene: Scene) -> None:
    await limited_stream(scene, UNLIMITED)


async def server_full(scene: Scene) -> None:
    """NATS lowers the limit of a server only at its start, and raises one that is configured."""
    used = await asked(scene, "$JS.API.INFO", b"")
    write_server_limit(scene, used["storage"] + SPARE_BYTES)
    await scene.kill("nats")


async def server_raised(scene: Scene) -> None:
    write_server_limit(scene, GIB)
    os.kill(scene.pid("nats"), signal.SIGHUP)


def write_server_limit(scene: Scene, max_file_store: int) -> None:
    config = scene.plane.folder / "nats" / "nats.conf"
    text = re.sub(r" max_file_store: \d+,", "", config.read_text())
    config.write_text(
        text.replace("jetstream {", f"jetstream {{ max_file_store: {max_file_store},")
    )


async def asked(scene: Scene, subject: str, question: bytes) -> dict[str, Any]:
    answer = await scene.log._nats.request(subject, question)
    decoded: dict[str, Any] = msgspec.json.decode(answer.data)
    assert "error" not in decoded, decoded
    return decoded


LIMITS = (
    Limit("stream", f"the stream {STREAM} holds", stream_full, stream_raised),
    Limit("server", "insufficient", server_full, server_raised),
)


# --- the flow


async def test_a_full_log_stops_command_until_there_is_space_again(scene: Scene) -> None:
    await scene.client.made(at("workspace", PLACE), {"spec": {}})
    async with scene.another_serve(side="command") as command:
        pids = {name: scene.pid(name) for name in PROCESSES}
        for limit in LIMITS:
            await filled_and_freed(scene, command, limit)
        assert {name: scene.pid(name) for name in PROCESSES} == pids, "none was restarted"


async def filled_and_freed(scene: Scene, command: Client, limit: Limit) -> None:
    serve, read = scene.client, disk(f"{limit.name}-read")
    await serve.made(read, VOLUME)
    await scene.at_rest()
    async with accepted_before(scene, command, limit) as waiting:
        await limit.lower(scene)
    lost = await first_refused(command, limit)
    assert (await serve.put(lost, VOLUME)).status == 503
    reason = f"appends are refused for .*{limit.reason}"
    await until(shows(command, 503, "reasons", reason), "command is not ready")
    await until(shows(serve, 200, "remarks", reason), "serve is ready, as it can read")
    assert (await serve.get(read)).status == 200
    end = await scene.log.end(STREAM)
    await limit.raised(scene)
    await until(ready(command), "command is ready without a write")
    await until(ready(serve), "serve has no remark")
    assert await scene.log.end(STREAM) >= end
    assert (await serve.get(lost)).status == 404, "what is refused is not recorded"
    await serve.active(waiting)
    for client in (command, serve):
        answer = await client.put(lost, VOLUME)
        assert answer.status in (200, 201), answer
    await serve.active(lost)


@asynccontextmanager
async def accepted_before(scene: Scene, command: Client, limit: Limit) -> AsyncIterator[str]:
    """A volume that was accepted, and whose reports meet a full log."""
    path = disk(f"{limit.name}-waits")
    with scene.stopped("reconcilers"):
        assert (await command.put(path, VOLUME)).status == 201
        yield path


def disk(name: str) -> str:
    return at("block-storage", name, workspace=PLACE)


async def first_refused(client: Client, limit: Limit) -> str:
    """The server may apply a limit after it was lowered: until then writes are accepted."""
    for n in range(WRITES_MAX):
        path = disk(f"{limit.name}-lost-{n}")
        if (answer := await client.put(path, VOLUME)).status == 503:
            return path
        assert answer.status == 201, answer
    raise AssertionError(f"{limit.name}: {WRITES_MAX} writes were accepted")


def shows(client: Client, status: int, place: str, text: str) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        answer = await readiness(client)
        texts: list[str] = answer.json.get(place, [])
        return answer.status == status and any(re.search(text, each) for each in texts)

    return holds


def ready(client: Client) -> Callable[[], Awaitable[bool]]:
    async def holds() -> bool:
        answer = await readiness(client)
        remarks: Json = answer.json.get("remarks", [])
        return answer.status == 200 and not any("append" in each for each in remarks)

    return holds


async def readiness(client: Client) -> Answer:
    return await client.get("/readyz", token=None)
