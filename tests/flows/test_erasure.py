"""A tenant that is gone is erased: no byte of it is left in the servers' files, also where the
command was killed, and every stored event is as it was."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from secaplane.audit.entries import decode as decode_entry
from secaplane.audit.stream import AuditStream, stream_name
from secaplane.cli.dev import embedded
from secaplane.cli.operate.legal_holds import lives_of
from secaplane.cli.processes.connections import now
from secaplane.cli.processes.keys import data_keys, key_store
from secaplane.eventlog.jetstream.api import direct_batch
from secaplane.eventlog.jetstream.key_bucket import JetStreamKeyStore, bucket
from secaplane.eventlog.log import RawEvent
from secaplane.eventlog.snapshots import SNAPSHOT_INTERVAL
from secaplane.model.events import RecordedEvent
from secaplane.model.position import BEGINNING
from secaplane.sealing.keys.data_key import DataKey, person_key
from tests.flows.client import VOLUME, Client, at, client_of
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
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "secaplane.cli.main", *arguments),
            *("--config", str(self.plane.folder / "config.json")),
            env=os.environ
            | {
                "SECAPLANE_NATS_URL": dev.nats("everything"),
                "SECAPLANE_POSTGRES_URL": dev.postgres(embedded.OWNER),
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
                process.send_signal(signal.SIGKILL)
                break
        await process.wait()
        return process.returncode or 0, output

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


def _place(path: Path) -> str:
    """The name of a stream, or of a folder of another server."""
    if "streams" in path.parts:
        return path.parts[path.parts.index("streams") + 1]
    return "/".join(path.parts[:2])


async def test_a_tenant_is_erased_although_the_command_was_killed(
    own_plane: RunningPlane,
) -> None:
    dev = own_plane.dev
    operator = dev.token("operator@secaplane.dev")
    async with client_of(dev.url, operator) as client:
        erasing = Erasing(own_plane, client)
        for tenant in (GONE, OTHER):
            await erasing.furnish(tenant)
        status, output = await erasing.erase()
        assert (status, "is not gone: delete it first" in output) == (1, True), output
        await erasing.delete(GONE)
        keys = await erasing.stored_keys()
        before = await erasing.events()
        there = erasing.found([f"{NOTE} {GONE}", AGENT])
        assert {place for _, place in there} <= {AUDIT, "postgres/data"}, there
        assert (f"{NOTE} {GONE}", "postgres/data") in there

        killed, output = await erasing.erase(killed_at=KILLED_AT)
        assert killed == -signal.SIGKILL, output
        status, output = await erasing.erase()
        assert status == 0, output
        assert "is erased" in output

        assert not erasing.found([f"{NOTE} {GONE}"])
        left = {place for _, place in erasing.found([AGENT, SUB])}
        assert left <= {AUDIT, "postgres/data"}, left  # of the other tenant in the database
        after = await erasing.events()
        assert after[: len(before)] == before
        await _keys_are_recorded(erasing)
        await _a_key_from_a_backup_is_destroyed_again(erasing, keys)
        await _other_tenant_is_untouched(erasing)
        await _callers_of_old_months_are_erased(erasing)
        await _name_can_be_used_again(erasing)


async def _keys_are_recorded(erasing: Erasing) -> None:
    names = {each.partition(".")[0] for each in await erasing.erased_keys()}
    assert names == {"body", "person"}


async def _a_key_from_a_backup_is_destroyed_again(
    erasing: Erasing, backup: Mapping[str, bytes]
) -> None:
    """From the audit stream alone, and from a list of destroyed keys that a later backup has."""
    status, listed = await erasing.command("keys", "destroyed")
    assert (status, "body." in listed) == (0, True)
    path = erasing.plane.folder / "destroyed"
    for lists in ([], [str(path)]):
        await erasing.restore(backup)
        path.write_text(listed if lists else "")
        status, output = await erasing.command("keys", "check", *lists)
        assert (status, "it is destroyed again" in output) == (1, True), output
        status, output = await erasing.command("keys", "check", *lists)
        assert status == 0, output
    assert len(await erasing.stored_keys()) < len(backup)


async def _other_tenant_is_untouched(erasing: Erasing) -> None:
    disk = at("block-storage", "disk", tenant=OTHER, workspace="web")
    shown = (await erasing.administrator.get(disk)).json
    assert shown["annotations"]["note"] == f"{NOTE} {OTHER}"
    listed = await erasing.administrator.get(
        at("block-storage", tenant=OTHER, workspace="web") + f"?labels=env={LABEL}"
    )
    assert listed.names == ["disk"]


async def _callers_of_old_months_are_erased(erasing: Erasing) -> None:
    """Not those of a tenant under legal hold."""
    async with connected(erasing.plane.dev.nats("everything")) as nats:
        log = opened_log(erasing.plane.dev.config, nats)
        (life,) = await lives_of(log, OTHER)
        keys = data_keys(erasing.plane.dev.config, nats, now)
        old = person_key(life, "2020-01")
        assert isinstance(await keys.made(old), DataKey)
        store = key_store(erasing.plane.dev.config, nats)
        held = {"SECAPLANE_KEYS_PERSON_MONTHS": "1", "SECAPLANE_KEYS_HOLDS": OTHER}
        for settings, left in ((held, True), (held | {"SECAPLANE_KEYS_HOLDS": "x"}, False)):
            status, output = await erasing.command("retention", "apply", **settings)
            assert (status, str(old) in output) == (0, not left), output
            assert (old in await store.names()) is left
    disk = at("block-storage", "disk", tenant=OTHER, workspace="web")
    assert (await erasing.administrator.get(disk)).status == 200


async def _name_can_be_used_again(erasing: Erasing) -> None:
    """The log, the rows and the history go on with another life."""
    tenant = at("tenant", GONE)
    spec = {"spec": {"administrators": [CALLER]}}
    answer = await erasing.operator.put(tenant, spec)
    assert answer.status == 201, answer
    assert (await erasing.operator.get(tenant)).status == 200
    async with connected(erasing.plane.dev.nats("everything")) as nats:
        log = opened_log(erasing.plane.dev.config, nats)
        read = await log.seals.followed(await erasing.events())
    assert all(isinstance(each, RecordedEvent) for each in read)
    erased = [each for each in read if isinstance(each, RecordedEvent) and each.erased]
    assert {"tenant", "workspace", "block-storage"} <= {each.ref.kind for each in erased}
    assert {each.ref.scope("tenants") for each in erased} == {GONE}
    pool = await asyncpg.connect(erasing.plane.dev.postgres(embedded.OWNER))
    try:
        names = await pool.fetch("select read_model from secaplane.active")
        for (name,) in names:
            quarantined = await pool.fetch(f"select path, reason from {name}.quarantine")
            assert not quarantined, (name, [dict(each) for each in quarantined])
    finally:
        await pool.close()
