"""The notary where the log has two streams, one of them empty, where two notaries run at once, and
where an administrator of NATS has changed an event."""

import asyncio
from pathlib import Path

import msgspec

from secaplane.audit.merkle.hashing import EMPTY_ROOT
from secaplane.cli.dev.plane import free_port
from secaplane.eventlog.streams import Streams
from secaplane.model.position import BEGINNING
from tests.flows.crashing import until
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.log.new_events import ROLE
from tests.servers import STREAM

GLOBAL = "GLOBAL"
CHANGED_AT = 41


async def test_two_notaries_at_once_sign_one_log_of_each_of_two_streams(tmp_path: Path) -> None:
    async with notary_scene(tmp_path, Streams(STREAM, GLOBAL)) as scene:
        with ended(scene.start()):
            await scene.append(100)
            for stream, size in ((STREAM, 100), (GLOBAL, 0), (AUDIT, 1)):  # its own start
                head = await scene.signed(stream, size)
                assert head.root == (await scene.expected(stream, size) if size else EMPTY_ROOT)
            port = str(free_port())
            with ended(scene.start(SECAPLANE_NOTARY_PORT=port)) as second:
                await scene.append(300, ROLE)
                await scene.append(300)
                assert second.poll() is None
                for stream, size in ((STREAM, 400), (GLOBAL, 300)):
                    head = await scene.signed(stream, size)
                    assert head.root == await scene.expected(stream, size)
        assert b"the notary has stopped" not in scene.messages.read_bytes()
        exported = str(tmp_path / "export")
        done = scene.secaplane("audit", "export", exported)
        assert done.stdout.splitlines() == [
            f"{STREAM}: 400 events",
            f"{GLOBAL}: 300 events",
            f"{AUDIT}: {scene.signed_size(AUDIT)} events",
        ]
        policy = tmp_path / "policy"
        policy.write_text(scene.policy)
        done = scene.secaplane("audit", "verify", exported, "--policy", str(policy))
        assert done.returncode == 3, done.stderr
        assert f"{GLOBAL}: 300 events compared" in done.stdout


async def test_bytes_that_were_changed_in_the_stream_stop_the_notary_with_the_position(
    tmp_path: Path,
) -> None:
    async with notary_scene(tmp_path) as scene:
        await scene.append(100)
        with ended(scene.start()):
            before = await scene.signed(STREAM, 100)
        await change_one_event(scene)
        with ended(scene.start()):

            async def stopped() -> bool:
                said = f"{STREAM}:{CHANGED_AT} is changed".encode()
                return said in scene.messages.read_bytes()

            await until(stopped, "the notary has stopped")
            await scene.append(20)
            await asyncio.sleep(1)
            assert scene.head(STREAM) == before
            entries = scene.signed_size(AUDIT)
            await scene.refuse(3)
            await scene.signed(AUDIT, entries + 3)  # the log of another stream goes on
        assert b"secret" not in scene.messages.read_bytes()


class _Described(msgspec.Struct, frozen=True):
    config: msgspec.Raw


async def change_one_event(scene: NotaryScene) -> None:
    """Replace the stream by one with the same events in the same order, one of them changed."""
    kept = list[tuple[str, bytes]]()
    async for batch in scene.log.follow_raw(STREAM, after=BEGINNING):
        kept += [(each.subject, each.data) for each in batch]
        if len(kept) == 100:
            break
    described = await ask(scene, f"$JS.API.STREAM.INFO.{STREAM}")
    await ask(scene, f"$JS.API.STREAM.DELETE.{STREAM}")
    config = msgspec.json.decode(described, type=_Described).config
    await ask(scene, f"$JS.API.STREAM.CREATE.{STREAM}", bytes(config))
    for number, (subject, data) in enumerate(kept, 1):
        changed = data.replace(b'"sizeGB":10', b'"sizeGB":99')
        assert changed != data
        await ask(scene, subject, changed if number == CHANGED_AT else data)


async def ask(scene: NotaryScene, subject: str, data: bytes = b"") -> bytes:
    answer = (await scene.client.request(subject, data, timeout=5)).data
    assert b'"error"' not in answer, answer
    return answer
