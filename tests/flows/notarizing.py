"""A NATS server, streams with events, and the notary's process and files: no other process."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from signal import SIGTERM

from nats.aio.client import Client

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
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref
from tests.flows.crashing import until
from tests.log.new_events import DISK, NOON, REGION, SPEC, new_event
from tests.rules import small_trees
from tests.servers import STREAM, _folder, _nats_answers, _running, connected

AUDIT = stream_name(STREAM)
ORIGIN = "audit.example"
LIMITS = AuditLimits(entries_per_caller=1000, bytes_max=2**24, days=1)
ONE_STREAM = Streams(STREAM)
COMMAND = (sys.executable, "-P", "-m", "secaplane.cli.main", "notary")


class NotaryScene:
    """A NATS server, streams with events, and the notary's files."""

    def __init__(self, client: Client, port: int, folder: Path, streams: Streams) -> None:
        self.client, self.folder, self._port = client, folder, port
        self.log = JetStreamLog(client, streams=streams, region=REGION)
        self.audit = AuditStream(client, stream=STREAM)
        self._last = dict[Ref, Position]()
        self.policy = ""
        self.serves_on = free_port()
        self.more = dict[str, str]()
        """Further settings of the notary."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SECAPLANE_NATS_URL": f"nats://notary:secret@{HOST}:{self._port}",
            "SECAPLANE_NATS_GLOBAL_STREAM": self.log.streams.worldwide,
            "SECAPLANE_SITE_REGION": REGION,
            "SECAPLANE_NOTARY_ORIGIN": ORIGIN,
            "SECAPLANE_NOTARY_FOLDER": str(self.folder / "notary"),
            "SECAPLANE_NOTARY_KEYS": str(self.folder / "notary-keys"),
            "SECAPLANE_NOTARY_PORT": str(self.serves_on),
            **self.more,
        }

    def secaplane(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The result of a command for operators."""
        return subprocess.run(
            [*COMMAND[:-1], *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

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

    async def append(self, count: int, ref: Ref = DISK) -> None:
        """Append events of one resource."""
        for _ in range(count):
            before = self._last.get(ref, BEGINNING)
            made = new_event(ref, Updated(spec=SPEC), previous=before)
            self._last[ref] = (await self.log.append(made)).position

    @property
    def last(self) -> Position:
        """Of the newest event of the one resource that most events are of."""
        return self._last[DISK]

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

    def get(self, path: str) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of a path of the public logs; sent as it is written here."""
        connection = HTTPConnection(HOST, self.serves_on, timeout=10)
        try:
            connection.request("GET", f"/{path}")
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, answer.read(), headers
        finally:
            connection.close()

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """The process of the notary; `more`: variables of its environment."""
        return self.spawn("notary", **more)

    def spawn(self, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
        with self.messages.open("ab") as out:
            return subprocess.Popen(
                [*COMMAND[:-1], *arguments],
                env=self.environment | more,
                stdin=subprocess.DEVNULL,
                stderr=out,
            )

    @property
    def messages(self) -> Path:
        """The log messages of every notary that was started."""
        return self.folder / "messages"

    def head(self, stream: str) -> TreeHead | None:
        """The signed head, verified with the public keys that `notary keys` printed."""
        path = self.public(stream) / "checkpoint"
        if not path.exists():
            return None
        return parse_policy(self.policy).verify(parse_checkpoint(path.read_bytes())).head

    def signed_size(self, stream: str) -> int:
        head = self.head(stream)
        return head.size if head else 0

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


@asynccontextmanager
async def notary_scene(place: Path, streams: Streams = ONE_STREAM) -> AsyncIterator[NotaryScene]:
    port = free_port()
    users = (
        embedded.NatsUser("tests", "secret", (">",)),
        embedded.NatsUser("notary", "secret", embedded.KEEP_THE_MERKLE_LOGS),
    )
    with _folder() as folder:
        server = embedded.nats(folder, port, users)
        with _running(server, folder, SIGTERM, lambda: _nats_answers(HOST, port)):
            async with connected(f"nats://tests:secret@{HOST}:{port}") as client:
                made = NotaryScene(client, port, place, streams)
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
