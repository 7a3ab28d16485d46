"""A PUT seals secrets for the life that its event is of, also where the event begins that life."""

from msgspec.structs import replace

from secaplane.command.rules.commands import ConfirmDeleted, Delete, Put
from secaplane.kinds import KINDS
from secaplane.model.document import document
from secaplane.model.events import Created, Deleted
from secaplane.model.shape import Json, LifeIds, Resource
from tests.rules.command_scene import DISK, INSTANCE, VM, Scene
from tests.sealing import SEALER

SECRET = "password"
KIND = KINDS["instance"]
SPEC = INSTANCE | {"userData": SECRET}


async def current(scene: Scene) -> Resource:
    resource = await scene.dependencies.cache.current(VM)
    assert resource is not None
    return resource


def opened(resource: Resource, life: LifeIds) -> Json:
    return SEALER.open(KIND, life, resource.spec)


async def made() -> Scene:
    scene = await Scene().given({"administrators": ["a"]}, DISK)
    await scene.put(VM, SPEC)
    return scene


async def test_the_first_put_seals_for_the_life_that_it_begins() -> None:
    resource = await current(await made())
    assert resource.spec["userData"].startswith("sealed:")
    assert (resource.uid, resource.tenant) == ("new1", "u1")
    assert opened(resource, LifeIds("u1", "new1")) == SPEC


async def test_a_later_put_seals_for_the_same_life() -> None:
    scene = await made()
    await scene.put(VM, SPEC | {"userData": "other"}, "second")
    resource = await current(scene)
    assert resource.uid == "new1"
    assert opened(resource, resource.life_ids)["userData"] == "other"


async def test_a_name_used_again_has_another_key_and_the_former_secret_is_not_shown() -> None:
    scene = await made()
    former = await current(scene)
    await scene.handled(VM, Delete(), "delete")
    deleting = await current(scene)
    assert "userData" in document(KIND, deleting, region="eu-1")["spec"]
    confirmed = ConfirmDeleted(uid=deleting.uid, observed_position=deleting.position)
    assert isinstance((await scene.handled(VM, confirmed, "gone")).event, Deleted)
    gone = await current(scene)
    assert document(KIND, gone, region="eu-1")["spec"] == INSTANCE
    result = await scene.handled(VM, Put(spec=SPEC), "again")
    assert isinstance(result.event, Created)
    again = await current(scene)
    assert again.life_ids != former.life_ids
    assert opened(again, again.life_ids) == SPEC


async def test_the_secrets_of_a_status_are_not_shown_of_what_is_gone() -> None:
    kind, status = KINDS["kubernetes-cluster"], {"kubeConfig": "sealed:k1:a:b", "other": 1}
    scene = await made()
    resource = await current(scene)
    shown = {
        gone: document(kind, _with(resource, status, gone=gone), region="eu-1")["status"]
        for gone in (False, True)
    }
    assert shown[False]["kubeConfig"] == "sealed:k1:a:b"
    assert "kubeConfig" not in shown[True]
    assert shown[True]["other"] == 1


def _with(resource: Resource, status: Json, *, gone: bool) -> Resource:
    return replace(resource, observed=status, gone=gone)
