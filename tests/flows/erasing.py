"""A control plane on which a tenant, or a secret, is erased: commands of operators, stored bytes,
and a search for markers in every file."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGKILL

from secaplane.audit.entries import decode as decode_entry
from secaplane.audit.stream import AuditStream, stream_name
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.cli.dev import embedded
from secaplane.eventlog.jetstream.api import direct_batch
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore, bucket
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.snapshots import SNAPSHOT_INTERVAL
from secaplane.model.position import BEGINNING
from tests.flows.client import VOLUME, Client, at
from tests.flows.crashing import until
from tests.opened_log import opened_log
from tests.plane import RunningPlane
from tests.servers import STREAM, connected

LABEL, NOTE, SUB = "marked-label-7c1e", "marked-note-7c1e", "marked-sub-7c1e"
AGENT, CALLER = "marked-agent-7c1e", "marked-caller-7c1e"
OUTSIDE = ("cloud.sqlite", "cloud.sqlite-wal", "cloud.sqlite-shm")
"""Files of the simulated cloud."""
AUDIT = stream_name(STREAM)
"""Logins and refused requests, with callers in clear until its limits remove them."""
GONE, OTHER = "gone", "other"
KILLED_AT = "the keys are destroyed"


class Erasing:
    def __init__(self, plane: RunningPlane, operator: Client) -> None:
        self.plane, self.operator = plane, operator
        self.administrator = operator.by(plane.dev.token(CALLER))

    async def furnish(self, tenant: str) -> None:
        """A tenant with a workspace, a volume and a role assignment, all with markers."""
        spec = {"administrators": [CALLER]}
        assert (await self.operator.put(at("tenant", tenant), {"spec": spec})).status == 201
        marked = {"labels": {"env": LABEL}, "annotations": {"note": f"{NOTE} {tenant}"}}
        sent = {"User-Agent": AGENT}
        client, workspace = self.administrator, at("workspace", "web", tenant=tenant)
        assert (await client.put(workspace, marked | {"spec": {}}, **sent)).status == 201
        disk = at("block-storage", "disk", tenant=tenant, workspace="web")
        assert (await client.put(disk, VOLUME | marked, **sent)).status == 201
        await client.active(disk)
        for _ in range(SNAPSHOT_INTERVAL // 2):  # each is reported on, so a snapshot is stored
            assert (await client.put(disk, VOLUME | marked, **sent)).status == 200
        grants = {"subs": [SUB], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
        named = at("role-assignment", "marked", tenant=tenant)
        assert (await client.put(named, marked | {"spec": grants}, **sent)).status == 201

    async def delete(self, tenant: str) -> None:
        client = self.administrator
        for path in (
            at("block-storage", "disk", tenant=tenant, workspace="web"),
            at("workspace", "web", tenant=tenant),
        ):
            assert (await client.delete(path)).status == 202
            await client.gone(path)
        status, output = await self.command("tenant", "delete", tenant)
        assert status == 0, output
        await self.operator.gone(at("tenant", tenant))

    async def erase(self, *, killed_at: str = "") -> tuple[int, str]:
        return await self.command("tenant", "erase", GONE, "--yes", killed_at=killed_at)

    async def command(
        self, *arguments: str, killed_at: str = "", **settings: str
    ) -> tuple[int, str]:
        """The exit status and the output of a command of operators."""
        dev = self.plane.dev
        (self.plane.folder / "temporary").mkdir(exist_ok=True)
        takes_config = arguments[0] not in ("notary", "audit")
        config = ("--config", str(self.plane.folder / "config.json")) if takes_config else ()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "secaplane.cli.main", *arguments),
            *config,
            env=os.environ
            | {
                "SECAPLANE_NATS_URL": dev.nats("everything"),
                "SECAPLANE_POSTGRES_URL": dev.postgres(embedded.OWNER),
                "TMPDIR": str(self.plane.folder / "temporary"),
            }
            | settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert process.stdout is not None
        output = ""
        async for line in process.stdout:
            output += line.decode()
            if killed_at and killed_at in output:
                process.send_signal(SIGKILL)
                break
        await process.wait()
        return process.returncode or 0, output

    async def verified_export(self, name: str) -> str:
        """The output of `audit verify` for a new export, with the policy of a notary that has
        signed all. The export stays in the folder of the plane."""
        folder = self.plane.folder
        settings = {
            "SECAPLANE_NATS_URL": self.plane.dev.nats("notary"),
            "SECAPLANE_NOTARY_ORIGIN": "audit.example",
            "SECAPLANE_NOTARY_FOLDER": str(folder / "notary"),
            "SECAPLANE_NOTARY_KEYS": str(folder / "notary-keys"),
        }
        exported, policy = str(folder / name), folder / f"{name}.policy"
        status, keys = await self.command("notary", "keys", **settings)
        assert status == 0, keys
        policy.write_text(f"{keys}quorum none\n")
        main = (sys.executable, "-P", "-m", "secaplane.cli.main", "notary")
        notary = await asyncio.create_subprocess_exec(*main, env=os.environ | settings)
        try:
            await self._signed(folder / "notary" / "public")
            status, output = await self.command("audit", "export", exported, **settings)
            assert status == 0, output
        finally:
            notary.terminate()
            await notary.wait()
        status, output = await self.command("audit", "verify", exported, "--policy", str(policy))
        assert status == 3, output  # no witness and no earlier checkpoint
        return output

    async def _signed(self, public: Path) -> None:
        """Wait until the notary has signed what is in the streams now."""
        async with connected(self.plane.dev.nats("everything")) as nats:
            sizes = {
                name: (await nats.jetstream().stream_info(name)).state.last_seq
                for name in (STREAM, AUDIT)
            }

        async def reached() -> bool:
            checkpoints = {public / name / "checkpoint": size for name, size in sizes.items()}
            return all(each.exists() and _size(each) >= size for each, size in checkpoints.items())

        await until(reached, "the notary has signed all")

    def found(self, markers: Sequence[str]) -> set[tuple[str, str]]:
        """Each marker with the top folder of a file that holds it."""
        folder, found = self.plane.folder, set[tuple[str, str]]()
        for path in folder.rglob("*"):
            if path.name in OUTSIDE or not path.is_file():
                continue
            data = path.read_bytes()
            place = path.relative_to(folder)
            found |= {(each, _place(place)) for each in markers if each.encode() in data}
        return found

    async def events(self) -> list[RawEvent]:
        async with connected(self.plane.dev.nats("everything")) as nats:
            log = opened_log(self.plane.dev.config, nats)
            end, events = await log.end(STREAM), list[RawEvent]()
            async for batch in log.follow_raw(STREAM, after=BEGINNING):
                events += batch
                if events and events[-1].position >= end:
                    return events
        raise AssertionError

    async def stored_keys(self) -> dict[str, bytes]:
        """The messages of the store of keys, by subject, as a backup has them."""
        async with connected(self.plane.dev.nats("everything")) as nats:
            question = {"seq": 1, "next_by_subj": f"$KV.{bucket(STREAM)}.key.>"}
            address = f"$JS.API.DIRECT.GET.KV_{bucket(STREAM)}"
            some, _ = await direct_batch(nats, address, question)
            return {(each.headers or {})["Nats-Subject"]: each.data for each in some}

    async def restore(self, keys: Mapping[str, bytes]) -> None:
        """A store of keys from an older backup: it has no record of a destroyed key."""
        async with connected(self.plane.dev.nats("everything")) as nats:
            await nats.request(f"$JS.API.STREAM.DELETE.KV_{bucket(STREAM)}", b"")
            await JetStreamKeyStore(nats, stream=STREAM).prepare()
            for subject, data in keys.items():
                await nats.request(subject, data)

    async def erased_keys(self) -> set[str]:
        async with connected(self.plane.dev.nats("everything")) as nats:
            stream = AuditStream(nats, stream=STREAM)
            some = [decode_entry(each) async for each in stream.read()]
            return {key for each in some if each.type == "key-destroyed" for key in each.keys or ()}


def _size(checkpoint: Path) -> int:
    return parse_checkpoint(checkpoint.read_bytes()).head.size


def _place(path: Path) -> str:
    """The name of a stream, or of a folder of another server."""
    if "streams" in path.parts:
        return path.parts[path.parts.index("streams") + 1]
    return "/".join(path.parts[:2])
