"""With the users of deploy/nats.conf: command makes keys and cannot destroy any, the eraser can."""

import re
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial

import pytest
from nats.aio.client import Client

from secaplane.cli.dev import embedded
from secaplane.cli.dev.embedded import HOST
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore
from secaplane.sealing.keys.data_key import body_key
from secaplane.sealing.keys.key_store import DestroyedKey, KeysUnavailable, StoredKey
from tests import servers
from tests.servers import STREAM, connected
from tests.source import ROOT

NOW = datetime(2026, 11, 30, tzinfo=UTC)
KEY, RECORD = StoredKey("a", NOW, "wrapped"), DestroyedKey("a", NOW, "operator")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("nats"), servers._free_port()
    shipped = (ROOT / "deploy" / "nats.conf").read_text()
    users = shipped[shipped.index("READS_THE_LOG_AND_AUDITS: {") :]
    users = re.sub(r"\$NATS_\w+_PASSWORD", "secret", users)
    (folder / "nats.conf").write_text(
        f'listen: "{HOST}:{port}"\njetstream {{ store_dir: "{folder}/data" }}\n{users}'
    )
    server = embedded.Server("nats", (embedded._nats_binary(), "-c", str(folder / "nats.conf")))
    answers = partial(servers._nats_answers, HOST, port)
    with servers._running(server, folder, signal.SIGTERM, answers):
        yield port


@pytest.fixture
async def command(port: int) -> AsyncIterator[Client]:
    async with connected(f"nats://command:secret@{HOST}:{port}") as nats:
        yield nats


async def test_command_makes_keys_and_the_eraser_alone_destroys_them(
    port: int, command: Client
) -> None:
    makes, name = JetStreamKeyStore(command, stream=STREAM), body_key("life")
    await makes.prepare()
    assert await makes.create(name, KEY) == KEY
    with pytest.raises(KeysUnavailable):
        await makes.destroy(name, RECORD)
    for user in ("query", "projector", "reconcilers", "siem"):
        async with connected(f"nats://{user}:secret@{HOST}:{port}") as nats:
            assert await JetStreamKeyStore(nats, stream=STREAM).read(name) == KEY
    async with connected(f"nats://eraser:secret@{HOST}:{port}") as nats:
        erases = JetStreamKeyStore(nats, stream=STREAM)
        assert await erases.destroy(name, RECORD) == RECORD
        assert not await erases.names()
        assert [each.name for each in await erases.destroyed()] == [name]
        with pytest.raises(KeysUnavailable):
            await erases.create(body_key("another"), KEY)
    assert await makes.read(name) == RECORD
