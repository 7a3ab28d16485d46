"""The notary process on a real stream: its checkpoints, and kills at any moment."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM

import pytest
from nats.aio.client import Client
from nats.errors import Error

from secaplane.audit.entries import entry
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.stream import AuditLimits, AuditStream, PendingEntry, stream_name
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.policies import parse_policy
from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import free_port
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.model.events import Updated
from secaplane.model.position import BEGINNING
from tests.flows.crashing import until
from tests.log.new_events import DISK, NOON, REGION, SPEC, new_event
from tests.rules import small_trees
from tests.servers import STREAM, _folder, _nats_answers, _running, connected

AUDIT = stream_name(STREAM)
ORIGIN = "audit.example"
LIMITS = AuditLimits(entries_per_caller=1000, bytes_max=2**24, days=1)
COMMAND = (sys.executable, "-P", "-m", "secaplane.cli.main", "notary")


class Scene:
    """A NATS server, streams with events, and the notary's files."""

    def __init__(self, client: Client, port: int, folder: Path) -> None:
        self.client, self.folder, self._port = client, folder, port
        self.log = JetStreamLog(client, streams=Streams(STREAM), region=REGION)
        self.audit = AuditStream(client, stream=STREAM)
        self.last = BEGINNING
        self.policy = ""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SECAPLANE_NATS_URL": f"nats://notary:secret@{HOST}:{self._port}",
            "SECAPLANE_SITE_REGION": REGION,
            "SECAPLANE_NOTARY_ORIGIN": ORIGIN,
            "SECAPLANE_NOTARY_FOLDER": str(self.folder / "notary"),
            "SECAPLANE_NOTARY_KEYS": str(self.folder / "notary-keys"),
        }

    def create_keys(self, *arguments: str) -> str:
        """The lines of a policy that the command prints."""
        done = subprocess.run(
            [*COMMAND, "keys", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    async def append(self, count: int) -> None:
        for _ in range(count):
            made = new_event(DISK, Updated(spec=SPEC), previous=self.last)
            self.last = (await self.log.append(made)).position

    async def refuse(self, count: int) -> None:
        """Publish audit entries."""
        for number in range(count):
            made = entry(
                "forbidden",
                time=NOON,
                request=f"r{number}",
                client_address="192.0.2.1",
                verb="get",
                path="/x",
            )
            await self.audit.publish([PendingEntry(f"m{number}", made)])

    def start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(COMMAND, env=self.environment, stdin=subprocess.DEVNULL)

    def head(self, stream: str) -> TreeHead | None:
        """The signed head, verified with the public keys that `notary keys` printed."""
        path = self.public(stream) / "checkpoint"
        if not path.exists():
            return None
        return parse_policy(self.policy).verify(parse_checkpoint(path.read_bytes())).head

    def public(self, stream: str) -> Path:
        return self.folder / "notary" / "public" / stream

    async def signed(self, stream: str, size: int) -> TreeHead:
        async def reached() -> bool:
            head = self.head(stream)
            return head is not None and head.size >= size

        await until(reached, f"{stream} is signed up to {size}")
        head = self.head(stream)
        assert head is not None
        return head

    async def expected(self, stream: str, size: int) -> bytes:
        """The root over what the stream holds, computed apart from the notary's tree."""
        chain, leaves = CommitmentChain(stream), list[bytes]()
        async for batch in self.log.follow_raw(stream, after=BEGINNING):
            leaves += [
                chain.commit(each.position.sequence, each.subject, each.data).leaf.written
                for each in batch
            ]
            if len(leaves) >= size:
                break
        return small_trees.mth(leaves[:size])


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    port = free_port()
    users = (
        embedded.NatsUser("tests", "secret", (">",)),
        embedded.NatsUser("notary", "secret", embedded.FOLLOW_THE_LOG),
    )
    with _folder() as folder:
        server = embedded.nats(folder, port, users)
        with _running(server, folder, SIGTERM, lambda: _nats_answers(HOST, port)):
            async with connected(f"nats://tests:secret@{HOST}:{port}") as client:
                made = Scene(client, port, tmp_path)
                await made.log.prepare()
                await made.audit.create(LIMITS)
                made.policy = made.create_keys() + "quorum none\n"
                yield made


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_the_notary_signs_what_the_streams_hold_however_often_it_is_killed(
    scene: Scene,
) -> None:
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
        size = scene.last.sequence
        head = await scene.signed(STREAM, size)
        assert head.root == await scene.expected(STREAM, size)
        audit = await scene.signed(AUDIT, 5)
        assert audit.root == await scene.expected(AUDIT, 5)
        notary.send_signal(SIGTERM)
        assert await asyncio.to_thread(notary.wait, 30) == 0
    await a_second_notary_computes_the_same(scene)
    await the_user_of_the_notary_appends_nothing(scene)


async def killed_while_writing(scene: Scene, notary: subprocess.Popen[bytes]) -> None:
    """Kills the process while events are appended, at another point each time."""
    async with asyncio.TaskGroup() as group:
        appending = group.create_task(scene.append(120))
        before = scene.head(STREAM)
        assert before is not None
        await scene.signed(STREAM, before.size + 1)
        notary.send_signal(SIGKILL)
        notary.wait()
        await appending


async def a_second_notary_computes_the_same(scene: Scene) -> None:
    """The files of the first one are gone: the log is rebuilt from the stream to the same root."""
    before = scene.head(STREAM)
    assert before is not None
    (scene.folder / "notary").rename(scene.folder / "lost")
    with ended(scene.start()):
        assert await scene.signed(STREAM, before.size) == before


async def the_user_of_the_notary_appends_nothing(scene: Scene) -> None:
    url = scene.environment["SECAPLANE_NATS_URL"]
    async with connected(url) as client:
        for subject in ("seca.eu-1.00.x.tenant", "seca-audit.login.x", "$KV.SECA-holes.x"):
            with pytest.raises(Error):
                await client.request(subject, b"{}", timeout=1)
    assert await scene.log.given_up_to(STREAM) == scene.last
