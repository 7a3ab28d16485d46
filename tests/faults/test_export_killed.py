"""`secaplane audit stream` is killed at random times while events arrive. A file then holds every
event and every audit entry exactly once; an HTTP receiver has each at least once, with one id."""

import asyncio
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from secaplane.audit.entries import EntryCaller, entry
from secaplane.audit.stream import AuditLimits, AuditStream, PendingEntry
from secaplane.cli.dev.embedded import HOST
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.kinds import KINDS
from secaplane.model.events import Created
from secaplane.model.position import BEGINNING
from tests.flows.crashing import until
from tests.log.new_events import IDS, REGION, new_event
from tests.log.receivers import http_server
from tests.servers import STREAM, connected, emptied

EVENTS, ENTRIES, AT_ONCE = 4000, 400, 100
KILLS = 8
SEED = int(os.environ.get("SECAPLANE_TEST_SEED", "66"))
AUDIT = f"{STREAM}-audit"
EVERYTHING = {f"{STREAM}:{n}" for n in range(1, EVENTS + 1)} | {
    f"{AUDIT}:{n}" for n in range(1, ENTRIES + 1)
}
END_S_MAX = 60.0


@pytest.fixture
async def filling(nats_url: str) -> AsyncIterator[asyncio.Task[None]]:
    """A log that is being filled."""
    async with connected(nats_url) as client, asyncio.TaskGroup() as group:
        await emptied(client)
        with suppress(NotFoundError):
            await client.jetstream().delete_stream(AUDIT)
        log = JetStreamLog(client, streams=Streams(STREAM), region=REGION)
        await log.prepare()
        task = group.create_task(fill(client, log))
        yield task
        await task
        await client.jetstream().delete_stream(AUDIT)


async def fill(client: Client, log: JetStreamLog) -> None:
    audit = AuditStream(client, stream=STREAM)
    await audit.create(AuditLimits(entries_per_caller=ENTRIES, bytes_max=2**24, days=7))
    for first in range(0, EVENTS, AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for n in range(first, first + AT_ONCE):
                ref = KINDS["block-storage"].ref(IDS, f"d{n}")
                event = Created(spec={"sizeGB": n, "text": "x" * random.randrange(2000)})
                group.create_task(log.append(new_event(ref, event, previous=BEGINNING)))
        share = range(first * ENTRIES // EVENTS, (first + AT_ONCE) * ENTRIES // EVENTS)
        await audit.publish([refused(n) for n in share])
        await asyncio.sleep(0.01)


def refused(number: int) -> PendingEntry:
    made = entry(
        "forbidden",
        time=datetime.now(UTC),
        request=f"r-{number}",
        client_address="203.0.113.9",
        caller=EntryCaller("https://id.example.org", "jane"),
        verb="put",
        path="/x",
    )
    return PendingEntry(f"e-{number}", made)


@asynccontextmanager
async def exporting(nats_url: str, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "secaplane.cli.main", "audit", "stream", *options),
        env={
            "SECAPLANE_NATS_URL": nats_url,
            "SECAPLANE_SITE_REGION": REGION,
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def killed_often(nats_url: str, options: Sequence[str], progress: Path) -> int:
    """Killed KILLS times, each at a random time after it has written its first state. Returns how
    often it had delivered something by then."""
    rng, working = random.Random(SEED), 0
    for _ in range(KILLS):
        before = version(progress)
        positions = written(progress)
        async with exporting(nats_url, *options) as process:

            async def moved(before: int = before) -> bool:
                return version(progress) != before

            await until(moved, "the state is written", seconds=END_S_MAX)
            await asyncio.sleep(rng.random() ** 2 * 0.4)
            process.send_signal(signal.SIGKILL)
            await process.wait()
        working += written(progress) != positions
    return working


def version(progress: Path) -> int:
    return progress.stat().st_mtime_ns if progress.exists() else 0


def written(progress: Path) -> str:
    if not progress.exists():
        return ""
    positions: str = msgspec.json.decode(progress.read_bytes())["positions"]
    return positions


async def ended(nats_url: str, options: Sequence[str]) -> bytes:
    async with exporting(nats_url, *options, "--once") as process:
        async with asyncio.timeout(END_S_MAX):
            out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        return out


async def test_a_killed_export_has_every_event_once_in_its_file(
    nats_url: str, tmp_path: Path, filling: asyncio.Task[None]
) -> None:
    file = tmp_path / "events"
    options = ("--format", "native", "--to", str(file))
    assert await killed_often(nats_url, options, tmp_path / "events.state") >= 2
    await filling
    await ended(nats_url, options)
    found = [msgspec.json.decode(each)["id"] for each in file.read_bytes().splitlines()]
    assert {each: n for each, n in Counter(found).items() if n > 1} == {}
    assert set(found) == EVERYTHING
    in_order = [int(each.partition(":")[2]) for each in found if each.startswith(f"{STREAM}:")]
    assert in_order == sorted(in_order)


async def test_a_killed_export_loses_nothing_on_its_way_to_a_receiver(
    nats_url: str, tmp_path: Path, filling: asyncio.Task[None]
) -> None:
    """The receiver refuses now and then, too; every repeat has the same id."""
    async with http_server(lambda number, _: 503 if number % 5 == 0 else 200) as received:
        url = f"http://{HOST}:{received.port}/events"
        state = tmp_path / "state"
        options = ("--format", "cloudevents", "--to", url, "--state", str(state))
        assert await killed_often(nats_url, options, state) >= 2
        await filling
        await ended(nats_url, options)
    assert {each["id"] for each in received.events} == EVERYTHING
    versions = {each["id"]: each for each in received.events}
    assert all(versions[each["id"]] == each for each in received.events)


async def test_standard_output_ends_with_its_reader_and_begins_where_it_is_asked(
    nats_url: str, tmp_path: Path, filling: asyncio.Task[None]
) -> None:
    await filling
    after = ("--format", "native", "--after", f"{STREAM}:{EVENTS - 2},{AUDIT}:{ENTRIES}")
    out = await ended(nats_url, after)
    ids = [msgspec.json.decode(each)["id"] for each in out.splitlines()]
    assert ids == [f"{STREAM}:{EVENTS - 1}", f"{STREAM}:{EVENTS}"]
    for wrong, said in (
        (("--after", "OTHER:1"), b"is no stream of this log"),
        (("--after", f"{STREAM}:{EVENTS + 1}"), b"after the end of its stream"),
        (("--to", "syslog://127.0.0.1:1"), b"needs a state file"),
        (("--to", "ftp://127.0.0.1", "--state", str(tmp_path / "state")), b"--to takes"),
    ):
        async with exporting(nats_url, "--format", "ocsf", "--once", *wrong) as process:
            _, errors = await process.communicate()
            assert process.returncode == 2, (wrong, errors)
            assert said in errors
    async with exporting(nats_url, "--format", "ocsf") as process:
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, _ = await process.communicate()
        assert process.returncode == 0
