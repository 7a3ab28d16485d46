"""The export of one tenant from a running control plane with a notary: over HTTP by its auditor,
and by an operator; both are complete, and hold nothing of other tenants."""

import asyncio
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from secaplane.cli.dev.plane import OPERATOR
from secaplane.cli.operate.tenants import appoint_auditors
from secaplane.cli.settings import NatsSettings, PostgresSettings
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.streams import Streams
from secaplane.model.position import BEGINNING
from secaplane.readmodel.schema.tables import READER
from tests.flows.auditing import AuditedPlane, audited_plane
from tests.flows.client import READS, Client, at
from tests.flows.notarizing import ended
from tests.servers import STREAM, connected

EXPORTS = "/providers/secaplane.audit/v1/tenants/demo/exports"
MAIN = (sys.executable, "-P", "-m", "secaplane.cli.main")
MARK = "only-in-the-other-tenant"


class ExportScene:
    def __init__(self, plane: AuditedPlane, folder: Path) -> None:
        self.plane, self.folder = plane, folder
        self.client = plane.client
        self.eve = plane.by("eve")
        self.policy = folder / "policy"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SECAPLANE_NATS_URL": self.plane.dev.nats("notary"),
            "SECAPLANE_NOTARY_ORIGIN": "audit.example",
            "SECAPLANE_NOTARY_FOLDER": str(self.folder / "notary"),
            "SECAPLANE_NOTARY_KEYS": str(self.folder / "keys"),
        }

    def secaplane(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*MAIN, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def notary(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*MAIN, "notary"], env=self.environment)

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(self.secaplane, *arguments)

    async def appointed(self) -> None:
        config = replace(
            self.plane.dev.config,
            nats=NatsSettings(url=self.plane.dev.nats("everything")),
            postgres=PostgresSettings(url=self.plane.dev.postgres(READER)),
            keys=self.plane.dev.config.keys,
        )
        assert await appoint_auditors(config, "demo", ["eve"]) == 0
        await self.eve.until(EXPORTS, lambda answer: answer.status != 403)

    def unpacked(self, archive: bytes, name: str) -> Path:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(self.folder / name, filter="data")
        return self.folder / name / "demo"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[ExportScene]:
    async with audited_plane() as plane:
        made = ExportScene(plane, tmp_path)
        keys = await made.run("notary", "keys")
        made.policy.write_text(f"{keys.stdout}quorum none\n")
        await made.appointed()
        yield made


async def test_a_tenant_exports_its_history_and_proves_that_it_is_complete(
    scene: ExportScene,
) -> None:
    await nothing_is_exported_without_a_notary(scene)
    with ended(scene.notary()):
        await written(scene.client)
        await of_another_tenant(scene)
        await exported_over_http(scene)
        await continued_after_an_interruption(scene)
        await exported_by_an_operator(scene)
        await who_may_not(scene)


async def nothing_is_exported_without_a_notary(scene: ExportScene) -> None:
    assert (await scene.eve.get(f"{EXPORTS}/latest")).status == 503
    assert (await scene.eve.get(EXPORTS)).status == 503


async def written(client: Client) -> None:
    for number in range(5):
        body = {"labels": {"number": str(number)}}
        assert (await client.put(at("workspace", "web"), body)).status < 300
        assert (await client.put(at("role", "reader"), {"spec": READS})).status < 300


async def of_another_tenant(scene: ExportScene) -> None:
    operator = scene.plane.by(OPERATOR)
    body = {"spec": {"administrators": ["admin@example.org"]}}
    assert (await operator.put(at("tenant", "other"), body)).status == 201
    place = at("workspace", MARK, tenant="other")
    await scene.client.until(place, lambda answer: answer.status != 403)
    assert (await scene.client.put(place, {})).status == 201


async def exported_over_http(scene: ExportScene) -> None:
    latest = f"{EXPORTS}/latest?seen={STREAM}:1"
    answer = await scene.eve.until(latest, lambda answer: answer.status != 503)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-tar")
    assert MARK.encode() not in answer.body
    folder = scene.unpacked(answer.body, "over-http")
    policy = ("--policy", str(scene.policy))
    done = await scene.run("audit", "verify", str(folder), *policy)
    assert done.returncode == 3, done.stderr + done.stdout
    assert "complete up to SECA-audit:" in done.stdout
    number = await events_of_the_tenant(scene)
    assert f"{STREAM}: {number} events of the tenant compared" in done.stdout
    (offer,) = (await scene.eve.get(EXPORTS)).json["items"]
    assert offer["name"] == "latest"
    assert offer["streams"][STREAM] >= number
    for text in ("what", "ELSEWHERE:1"):
        refused = await scene.eve.get(f"{EXPORTS}/latest?seen={text}")
        assert (refused.status, refused.json["sources"][0]["parameter"]) == (400, "seen")
    for path in (EXPORTS, f"{EXPORTS}/latest"):
        assert (await scene.eve.get(f"{path}?asOf={STREAM}:1")).status == 400, path


async def continued_after_an_interruption(scene: ExportScene) -> None:
    """The rest of the archive, after other writes and other exports; judged like the beginning."""
    latest = f"{EXPORTS}/latest?seen={STREAM}:1"
    first = await scene.eve.get(latest)
    name = first.headers["secaplane-export"]
    await written(scene.client)
    assert (await scene.eve.get(latest)).headers["secaplane-export"] != name
    for had in (0, 1, 700, len(first.body) // 2, len(first.body) - 1, len(first.body)):
        rest = await scene.eve.get(f"{latest}&export={name}&offset={had}")
        assert (rest.status, rest.headers["secaplane-export"]) == (200, name)
        assert first.body[:had] + rest.body == first.body, had
    assert (await scene.client.get(f"{latest}&export={name}&offset=1")).status == 403
    other = f"{EXPORTS}/latest?seen={STREAM}:2&export={name}&offset=1"
    assert (await scene.eve.get(other)).status == 404, "of other parameters, other bytes"
    for gone in (f"{name}0", f"9{name}", "9-0", "x", "-1-2"):
        assert (await scene.eve.get(f"{latest}&export={gone}&offset=1")).status == 404, gone
    for wrong in ("export=x", "offset=1", f"export={name}&offset=-1", f"export={name}&offset=x"):
        assert (await scene.eve.get(f"{latest}&{wrong}")).status == 400, wrong


async def events_of_the_tenant(scene: ExportScene) -> int:
    """Counted apart from the product's chain: by the name of the tenant in their addresses."""
    async with connected(scene.plane.dev.nats("everything")) as nats:
        log = JetStreamLog(nats, streams=Streams(STREAM), region="eu-1")
        end, count = await log.end(STREAM), 0
        async for batch in log.follow_raw(STREAM, after=BEGINNING):
            count += sum(".tenants.demo." in each.subject for each in batch)
            if batch and batch[-1].position >= end:
                return count
    raise AssertionError("the log ended")


async def exported_by_an_operator(scene: ExportScene) -> None:
    """With a checkpoint that the auditor has kept, and after a later write."""
    kept = scene.folder / "kept"
    kept.write_bytes((scene.folder / "notary/public" / STREAM / "checkpoint").read_bytes())
    assert (await scene.client.put(at("workspace", "later"), {})).status == 201
    folder = scene.folder / "by-operator"
    done = await scene.run("audit", "export", str(folder), "--tenant", "demo")
    number = await events_of_the_tenant(scene)
    assert done.returncode == 0, done.stderr
    assert f"{STREAM}: {number} events of demo" in done.stdout
    done = await scene.run(
        "audit", "verify", str(folder), "--policy", str(scene.policy), "--seen", str(kept)
    )
    assert done.returncode == 3, done.stderr + done.stdout
    await reported(scene, folder, number)
    events = folder / STREAM / "events/000"
    events.write_bytes(events.read_bytes()[:-1] + b" ")
    done = await scene.run("audit", "verify", str(folder), "--policy", str(scene.policy))
    assert done.returncode == 1
    assert f"{STREAM}: number {number} is " in done.stderr
    done = await scene.run("audit", "export", str(scene.folder / "no"), "--tenant", "absent")
    assert (done.returncode, "there is no tenant absent" in done.stderr) == (2, True)


async def reported(scene: ExportScene, folder: Path, number: int) -> None:
    """A report that was made from the export of the tenant alone, without a key."""
    place = scene.folder / "report"
    options = ("--tenant", "demo", "--export", str(folder), "--policy", str(scene.policy))
    done = await scene.run("audit", "report", str(place), *options)
    assert done.returncode == 3, done.stderr + done.stdout
    counts = json.loads((place / "report.json").read_bytes())["counts"]
    assert counts["accepted"] + counts["reports"] == number
    assert (counts["gaps"], counts["accepted"] >= 10) == (0, True)
    page = (place / "report.html").read_text()
    assert "None is missing" in page
    assert ("sealed" in page, "admin@example.org" in page) == (True, False)


async def who_may_not(scene: ExportScene) -> None:
    """An administrator of the tenant has no right to exports, an auditor none in other tenants."""
    for client, tenant in ((scene.client, "demo"), (scene.eve, "other"), (scene.eve, "none")):
        for path in ("exports", "exports/latest"):
            answer = await client.get(f"/providers/secaplane.audit/v1/tenants/{tenant}/{path}")
            assert answer.status == 403, (tenant, path)
    assert (await scene.eve.post(EXPORTS)).status == 405
