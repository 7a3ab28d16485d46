"""The secrets of a resource that is gone are erased by `secaplane retention apply`: no form of them
is in any file, the sealed bytes stay. A destroyed key of a living resource shows as `<erased>`."""

import asyncio
import os
from contextlib import suppress
from signal import SIGKILL

import aiohttp

from secaplane.sealing.keys.data_key import KeyName, key_name
from tests.flows.client import INSTANCE, POLL_S, REACHED_S_MAX, VOLUME, Client, at, client_of
from tests.flows.erasing import CALLER, Erasing
from tests.flows.test_secrets import SECRETS, forms, shown
from tests.plane import RunningPlane
from tests.servers import STREAM

KEPT = "kept"
AT_ONCE = {"SECAPLANE_KEYS_SECRET_DAYS": "0"}
UNDO = "/providers/secaplane.audit/v1/undo"


def instance(name: str) -> str:
    return at("instance", name, tenant=KEPT, workspace="web")


class SecretErasing(Erasing):
    @property
    def client(self) -> Client:
        return self.administrator

    async def furnish_secrets(self) -> None:
        """Two instances that each had two secrets, in a tenant whose caller may undo."""
        await self.furnish(KEPT)
        status, output = await self.command("tenant", "auditors", KEPT, "--auditor", CALLER)
        assert status == 0, output
        for name in ("one", "two"):
            disk = at("block-storage", f"disk-{name}", tenant=KEPT, workspace="web")
            await self.client.made(disk, VOLUME)
            boot = {"bootVolume": {"deviceRef": {"resource": f"block-storages/disk-{name}"}}}
            for secret in SECRETS:
                body = {"spec": INSTANCE["spec"] | boot | {"userData": secret}}
                assert (await self.client.put(instance(name), body)).status in (200, 201)
                assert shown(await self.client.active(instance(name))) == secret

    async def secret_keys(self) -> set[KeyName]:
        names = [key_name(each.partition(".key.")[2]) for each in await self.stored_keys()]
        return {each for each in names if each.purpose == "secret"}

    async def applied(self, *arguments: str, **settings: str) -> str:
        status, output = await self.command("retention", "apply", *arguments, **settings)
        assert status == 0, output
        return output

    async def back(self) -> None:
        """Wait until another process serves."""
        async with asyncio.timeout(REACHED_S_MAX):
            while True:
                await asyncio.sleep(POLL_S)
                with suppress(aiohttp.ClientError):
                    if (await self.client.get(instance("two"))).status == 200:
                        return

    def assert_in_no_file(self) -> None:
        markers = [each.decode() for secret in SECRETS for each in forms(secret)]
        assert not self.found(markers)


async def test_secrets_of_what_is_gone_are_erased_and_of_what_lives_stay(
    own_plane: RunningPlane,
) -> None:
    async with client_of(own_plane.dev.url, own_plane.dev.token("operator@secaplane.dev")) as made:
        erasing = SecretErasing(own_plane, made)
        await erasing.furnish_secrets()
        assert len(await erasing.secret_keys()) == 2
        assert (await erasing.client.delete(instance("one"))).status == 202
        await erasing.client.gone(instance("one"))
        await the_key_is_kept_for_the_grace_and_under_legal_hold(erasing)
        gone = await the_key_is_destroyed_and_no_byte_changes(erasing)
        await no_backup_brings_it_back(erasing, gone)
        await an_undo_names_the_fields_whose_key_is_destroyed(erasing)
        said = await erasing.verified_export("exported")
        assert f"{STREAM}: " in said
        erasing.assert_in_no_file()


async def the_key_is_kept_for_the_grace_and_under_legal_hold(erasing: SecretErasing) -> None:
    assert "secret." not in await erasing.applied()
    held = {"SECAPLANE_KEYS_HOLDS": KEPT}
    assert "secret." not in await erasing.applied(**AT_ONCE, **held)
    status, listed = await erasing.command("keys", "list", **held)
    assert (status, "under legal hold" in listed) == (0, True)
    key = str(next(iter(await erasing.secret_keys())))
    reason = ("--reason", "a test")
    status, output = await erasing.command("keys", "destroy", key, *reason, **held)
    assert (status, "under legal hold" in output) == (1, True)
    assert "would be destroyed" in await erasing.applied("--dry-run", **AT_ONCE)
    assert len(await erasing.secret_keys()) == 2


async def the_key_is_destroyed_and_no_byte_changes(erasing: SecretErasing) -> dict[str, bytes]:
    """The keys as a backup has them that was made before."""
    backup, before, keys = (
        await erasing.stored_keys(),
        await erasing.events(),
        await erasing.secret_keys(),
    )
    output = await erasing.applied(**AT_ONCE)
    (left,) = await erasing.secret_keys()
    (over,) = keys - {left}
    assert f"{over} destroyed" in output
    assert str(over) in {each.rpartition(":")[0] for each in await erasing.erased_keys()}
    assert (await erasing.events())[: len(before)] == before
    assert shown(await erasing.client.get(instance("two"))) == SECRETS[1]
    erasing.assert_in_no_file()
    return backup


async def no_backup_brings_it_back(erasing: SecretErasing, backup: dict[str, bytes]) -> None:
    await erasing.restore(backup)
    assert len(await erasing.secret_keys()) == 2
    status, output = await erasing.command("keys", "check")
    assert (status, "it is destroyed again" in output) == (1, True), output
    assert len(await erasing.secret_keys()) == 1


async def an_undo_names_the_fields_whose_key_is_destroyed(erasing: SecretErasing) -> None:
    """A living resource's key is destroyed by an operator alone."""
    two = instance("two")
    undo = f"{UNDO}/{two.removeprefix('/providers/')}?to=1&secrets=restore"
    assert (await erasing.client.post(undo)).status == 200
    assert shown(await erasing.client.active(two)) == SECRETS[0]
    (key,) = await erasing.secret_keys()
    status, output = await erasing.command("keys", "destroy", str(key), "--reason", "a test")
    assert status == 0, output
    os.kill(erasing.plane.children.pid("serve"), SIGKILL)  # it has the key for 30 s
    await erasing.back()
    assert shown(await erasing.client.get(two)) == "<erased>"
    listed = await erasing.client.get(at("instance", tenant=KEPT, workspace="web"))
    assert [each["spec"]["userData"] for each in listed.json["items"]] == ["<erased>"]
    for query in ("?to=1&secrets=restore", "?to=1"):
        refused = await erasing.client.post(undo.partition("?")[0] + query)
        assert refused.status == 409, refused
        assert [each["pointer"] for each in refused.json["sources"]] == ["/spec/userData"]
    assert (await erasing.client.delete(two)).status == 202
    await erasing.client.gone(two)
