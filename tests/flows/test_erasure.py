"""A tenant that is gone is erased: no byte of it is left in the servers' files, also where the
command was killed, and every stored event is as it was."""

import signal
from collections.abc import Mapping

import asyncpg

from secaplane.cli.dev import embedded
from secaplane.cli.operate.legal_holds import lives_of
from secaplane.cli.processes.connections import now
from secaplane.cli.processes.keys import data_keys, key_store
from secaplane.model.events import RecordedEvent
from secaplane.sealing.keys.data_key import DataKey, person_key
from tests.flows.client import at, client_of
from tests.flows.erasing import (
    AGENT,
    AUDIT,
    CALLER,
    GONE,
    KILLED_AT,
    LABEL,
    NOTE,
    OTHER,
    SUB,
    Erasing,
)
from tests.opened_log import opened_log
from tests.plane import RunningPlane
from tests.servers import STREAM, connected


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
        number = await _name_can_be_used_again(erasing)
        await _every_proof_holds(erasing, number)


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


async def _every_proof_holds(erasing: Erasing, number: int) -> None:
    """Of an export that is made after the erasure, in which nothing of the tenant is found."""
    said = await erasing.verified_export("exported")
    assert f"{STREAM}: sealed under a destroyed key: {number}\n" in said, said
    assert f"{AUDIT}: sealed under" not in said
    assert (erasing.plane.folder / "exported" / STREAM / "events").is_dir()
    assert not erasing.found([f"{NOTE} {GONE}"])


async def _name_can_be_used_again(erasing: Erasing) -> int:
    """The log, the rows and the history go on with another life. The number of erased events."""
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
    assert all(each.tenant == erased[0].tenant for each in erased)
    pool = await asyncpg.connect(erasing.plane.dev.postgres(embedded.OWNER))
    try:
        names = await pool.fetch("select read_model from secaplane.active")
        for (name,) in names:
            quarantined = await pool.fetch(f"select path, reason from {name}.quarantine")
            assert not quarantined, (name, [dict(each) for each in quarantined])
    finally:
        await pool.close()
    return len(erased)
