"""The secret fields of one resource life have one random key. It is made when the first secret is
sealed; once it is destroyed, what it sealed is shown as erased, and nothing is sealed any more."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from msgspec.structs import replace as struct_replace

from secaplane.command.submit import SubmitDependencies, WriteRequest
from secaplane.command.undo import _opened
from secaplane.kinds import KINDS
from secaplane.model.desired import ERASED_TEXT
from secaplane.model.errors import Conflict, Unavailable
from secaplane.model.events import Updated
from secaplane.model.shape import Json, LifeIds
from secaplane.reconcilers.cloud_call import _clear
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.sealing.fingerprint import fingerprint
from secaplane.sealing.keys.data_key import key_name, secret_key
from secaplane.sealing.keys.key_store import DestroyedKey
from secaplane.sealing.life_sealers import LifeSealers, Sealed
from secaplane.sealing.sealer import Keyring, Sealer, SecretErased, UnsealFailed
from tests.key_scene import KEYRING, KeyScene
from tests.log.new_events import NOON
from tests.rules.command_scene import DISK, INSTANCE, VM, Scene
from tests.scenario import lived

KIND, CLUSTER = KINDS["instance"], KINDS["kubernetes-cluster"]
ONE = LifeIds("tenant-1", "one-1")
NAME = secret_key("tenant-1", "one-1")
SPEC: Json = {"zone": "a", "userData": "hunter2"}
STATUS: Json = {"kubeConfig": "hunter2", "endpoint": "e"}
OLD = Sealer(Keyring.generate())
"""Derived keys, which older events were sealed with."""


class Site:
    def __init__(self) -> None:
        self.keys = KeyScene()
        self.sealers = self.process()

    def process(self) -> LifeSealers:
        return LifeSealers(OLD, self.keys.process())

    async def sealed(self, spec: Json = SPEC) -> Json:
        return await self.sealers.seal(KIND, ONE, spec)

    async def reported(self, status: Json, former: Json) -> Json:
        held = Sealed(ONE, {}, former)
        sealer = await self.sealers.for_status(CLUSTER, held, status)
        return sealer.seal_status(CLUSTER, ONE, status, former)

    async def shown(self, spec: Json) -> Json:
        sealer = await self.process().opening(KIND, [Sealed(ONE, spec, {})])
        shown: Json = sealer.open_shown(KIND, ONE, {"spec": spec})["spec"]
        return shown

    async def destroy(self) -> None:
        await self.keys.store.destroy(NAME, DestroyedKey("", NOON, "operator"))
        self.keys.pass_time()


async def test_a_secret_is_sealed_under_a_key_that_the_store_has_already() -> None:
    site = Site()
    sealed = await site.sealed()
    assert list(site.keys.store.keys) == [NAME]
    id = site.keys.store.keys[NAME].id
    assert sealed["userData"].startswith(f"sealed:random/{id}:")
    assert b"hunter2" not in msgspec.json.encode(sealed)
    assert await site.shown(sealed) == SPEC


async def test_the_key_has_a_name_that_begins_with_the_tenants_life() -> None:
    assert key_name(str(NAME)) == NAME
    assert str(NAME) == "secret.tenant-1.one-1"
    assert str(secret_key("", "u")) == "secret.-.u"


async def test_what_has_no_secret_makes_no_key_and_asks_for_none() -> None:
    site = Site()
    spec = {"zone": "a"}
    assert await site.sealed(spec) is spec
    assert await site.sealers.seal(KINDS["block-storage"], ONE, SPEC) is SPEC
    assert await site.reported({"endpoint": "e"}, {}) == {"endpoint": "e"}
    assert await site.shown(spec) == spec
    assert (site.keys.store.reads, site.keys.store.keys) == (0, {})


async def test_two_processes_and_all_puts_of_a_life_use_one_key() -> None:
    site = Site()
    first = await site.sealed()
    site.keys.pass_time()
    second = await site.process().seal(KIND, ONE, SPEC)
    assert len(site.keys.store.keys) == 1
    assert first != second
    assert fingerprint(first["userData"]) == fingerprint(second["userData"])


async def test_lives_have_keys_of_their_own_and_none_opens_for_another() -> None:
    site, other = Site(), LifeIds("tenant-1", "one-2")
    sealed = await site.sealed()
    theirs = await site.sealers.seal(KIND, other, SPEC)
    assert fingerprint(sealed["userData"]) != fingerprint(theirs["userData"])
    sealer = await site.sealers.opening(KIND, [Sealed(other, sealed, {})])
    with pytest.raises(UnsealFailed):
        sealer.open(KIND, other, sealed)


async def test_what_was_sealed_with_a_derived_key_is_still_opened() -> None:
    site = Site()
    assert await site.shown(OLD.seal(KIND, ONE, SPEC)) == SPEC
    former = OLD.seal_status(CLUSTER, ONE, STATUS, {})
    assert await site.reported(STATUS, former) == former


async def test_a_secret_whose_key_is_destroyed_is_shown_as_erased() -> None:
    site = Site()
    sealed = await site.sealed()
    await site.destroy()
    assert await site.shown(sealed) == SPEC | {"userData": ERASED_TEXT}
    sealer = await site.process().opening(KIND, [Sealed(ONE, sealed, {})])
    assert sealer.open_left(KIND, ONE, sealed) == {"zone": "a"}
    with pytest.raises(SecretErased):
        sealer.open(KIND, ONE, sealed)


async def test_no_secret_can_be_written_once_the_key_is_destroyed() -> None:
    site = Site()
    await site.sealed()
    await site.destroy()
    with pytest.raises(Conflict, match="one key for its life") as raised:
        await site.sealed()
    assert [each.pointer for each in raised.value.sources] == ["/spec/userData"]
    assert await site.sealed({"zone": "b"}) == {"zone": "b"}


async def test_a_reported_secret_stays_as_it_is_while_it_is_the_same() -> None:
    site = Site()
    former = await site.reported(STATUS, {})
    assert former["kubeConfig"].startswith("sealed:random/")
    assert await site.reported(STATUS, former) == former
    assert await site.reported(STATUS | {"kubeConfig": "new"}, former) != former


async def test_a_report_goes_on_without_the_secret_once_the_key_is_destroyed() -> None:
    site = Site()
    former = await site.reported(STATUS, {})
    await site.destroy()
    assert await site.reported(STATUS, former) == former
    assert await site.reported(STATUS, {}) == {"endpoint": "e"}


async def test_a_missing_key_is_no_destroyed_one() -> None:
    site = Site()
    sealed = await site.sealed()
    del site.keys.store.keys[NAME]
    with pytest.raises(Unavailable):
        await site.shown(sealed)


async def test_a_put_that_is_refused_makes_no_key() -> None:
    scene = await Scene().given({"administrators": ["a"]}, DISK)
    keys = KeyScene()
    sealers = LifeSealers(Sealer(KEYRING), keys.process())
    scene.dependencies = replace(scene.dependencies, seal=sealers.seal)
    missing = INSTANCE | {"userData": "a", "skuRef": "skus/absent"}
    await scene.refused(VM, missing)
    assert not keys.store.keys
    await scene.put(VM, INSTANCE | {"userData": "a"})
    assert [each.purpose for each in keys.store.keys] == ["secret"]


async def test_an_undo_is_refused_with_the_fields_whose_key_is_destroyed() -> None:
    site, scene = Site(), await Scene().given({"administrators": ["a"]}, DISK)
    scene.dependencies = replace(scene.dependencies, seal=site.sealers.seal)
    await scene.put(VM, INSTANCE | {"userData": "hunter2"})
    today = await scene.dependencies.cache.current(VM)
    assert today is not None
    then = Updated(spec=today.spec)
    request = cast(WriteRequest, SimpleNamespace(kind=KIND))
    for of_then in (then, None):
        opening = cast(SubmitDependencies, SimpleNamespace(sealers=site.process()))
        assert (await _opened(opening, request, today, of_then))["userData"] == "hunter2"
    (name,) = site.keys.store.keys
    await site.keys.store.destroy(name, DestroyedKey("", NOON, "operator"))
    for of_then in (then, None):
        opening = cast(SubmitDependencies, SimpleNamespace(sealers=site.process()))
        with pytest.raises(Conflict, match="not there any more") as raised:
            await _opened(opening, request, today, of_then)
        assert [each.pointer for each in raised.value.sources] == ["/spec/userData"]


async def test_the_cloud_gets_no_resource_without_its_secret_but_may_remove_it() -> None:
    site, resource = Site(), lived(VM, {"zone": "a"})
    spec = await site.sealers.seal(KIND, resource.life_ids, SPEC)
    resource = struct_replace(resource, spec=spec)
    (name,) = site.keys.store.keys
    await site.keys.store.destroy(name, DestroyedKey("", NOON, "operator"))
    site.keys.pass_time()
    dependencies = cast(ReconcileDependencies, SimpleNamespace(sealers=site.process()))
    assert (await _clear(dependencies, resource)).spec == {"zone": "a"}
    with pytest.raises(SecretErased):
        await _clear(dependencies, resource, erased=False)
