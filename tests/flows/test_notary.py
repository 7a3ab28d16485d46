"""The notary process on a real stream: its checkpoints, and kills at any moment."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from nats.errors import Error

from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.tiles import tiles_of
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.servers import STREAM, connected


@pytest.fixture
async def notarized(tmp_path: Path) -> AsyncIterator[NotaryScene]:
    async with notary_scene(tmp_path) as made:
        yield made


async def test_the_notary_signs_what_the_streams_hold_however_often_it_is_killed(
    notarized: NotaryScene,
) -> None:
    scene = notarized
    await scene.append(300)
    await scene.refuse(5)
    with ended(scene.start()) as notary:
        await scene.signed(STREAM, 300)
        await scene.signed(AUDIT, 5)
        await killed_while_writing(scene, notary)
    for _ in range(3):
        with ended(scene.start()) as notary:
            await killed_while_writing(scene, notary)
    with ended(scene.start()) as notary:
        await scene.append(1)  # signed by this process, not by one before
        await the_log_is_served(scene)
        size = scene.last.sequence
        head = await scene.signed(STREAM, size)
        assert head.root == await scene.expected(STREAM, size)
        audit = await scene.signed(AUDIT, 6)  # with the entries about its own starts
        assert audit.root == await scene.expected(AUDIT, audit.size)
        notary.send_signal(SIGTERM)
        assert await asyncio.to_thread(notary.wait, 30) == 0
    the_history_is_exported_and_verified(scene)
    await a_second_notary_computes_the_same(scene)
    await the_user_of_the_notary_appends_nothing(scene)


async def killed_while_writing(scene: NotaryScene, notary: subprocess.Popen[bytes]) -> None:
    """Kills the process while events are appended, at another point each time."""
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(scene.append(120))
        before = scene.head(STREAM)
        assert before is not None
        await scene.signed(STREAM, before.size + 1)
        notary.send_signal(SIGKILL)
        notary.wait()
        await appending


def the_history_is_exported_and_verified(scene: NotaryScene) -> None:
    """With checkpoints that were kept; a policy without witnesses leaves an attack unseen."""
    policy, exported = scene.folder / "policy", scene.folder / "export"
    policy.write_text(scene.policy)
    kept = [scene.public(stream) / "checkpoint" for stream in (STREAM, AUDIT)]
    done = scene.secaplane("audit", "export", str(exported))
    size = scene.last.sequence
    entries = scene.head(AUDIT)
    assert entries is not None
    expected = f"{STREAM}: {size} events\n{AUDIT}: {entries.size} events\n"
    assert done.stdout == expected, done.stderr
    trusted = ("--policy", str(policy), *(each for file in kept for each in ("--seen", str(file))))
    done = scene.secaplane("audit", "verify", str(exported), *trusted)
    assert done.returncode == 3, done.stderr
    assert "not seen: without witnesses in the policy" in done.stdout
    events = exported / STREAM / "events/000"
    data = events.read_bytes()
    events.write_bytes(data[:-2] + b" " + data[-1:])
    done = scene.secaplane("audit", "verify", str(exported), *trusted)
    assert done.returncode == 1
    assert f"{STREAM}:256 is changed" in done.stderr


async def the_log_is_served(scene: NotaryScene) -> None:
    """Every tile of the checkpoint, and nothing else of the folder."""
    await scene.signed(STREAM, scene.last.sequence)
    status, checkpoint, headers = await asyncio.to_thread(scene.get, f"{STREAM}/checkpoint")
    assert (status, headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert headers["cache-control"] == "no-cache"
    for name in tiles_of(parse_checkpoint(checkpoint).head.size):
        status, data, headers = await asyncio.to_thread(scene.get, f"{STREAM}/{name.path}")
        assert (status, headers["content-type"]) == (200, "application/octet-stream")
        assert data == (scene.public(STREAM) / name.path).read_bytes()
    for path in (
        f"{STREAM}/cosigned",
        f"{STREAM}/tile/0/999",
        f"{STREAM}/../../private/{STREAM}.state",
        f"{STREAM}/%2e%2e/%2e%2e/private/{STREAM}.state",
        "private/SECA.state",
        "OTHER/checkpoint",
        "",
    ):
        assert (await asyncio.to_thread(scene.get, path))[0] in (400, 404), path


async def a_second_notary_computes_the_same(scene: NotaryScene) -> None:
    """The files of the first one are gone: the log is rebuilt from the stream to the same root."""
    before = scene.head(STREAM)
    assert before is not None
    (scene.folder / "notary").rename(scene.folder / "lost")
    with ended(scene.start()):
        assert await scene.signed(STREAM, before.size) == before


async def the_user_of_the_notary_appends_nothing(scene: NotaryScene) -> None:
    url = scene.environment["SECAPLANE_NATS_URL"]
    async with connected(url) as client:
        for subject in ("seca.eu-1.00.x.tenant", "seca-audit.login.x", "$KV.SECA-holes.x"):
            with pytest.raises(Error):
                await client.request(subject, b"{}", timeout=1)
    assert await scene.log.given_up_to(STREAM) == scene.last
