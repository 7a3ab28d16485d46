"""Changes that others forbid because they use the former value (409, with the blockers): before the
append, after it in the order of positions, and again by the reconciler."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from secaplane.command.gather.intents import unanswered_intent
from secaplane.command.handle import handle
from secaplane.command.post_append import (
    MEANWHILE,
    UNCHECKED,
    recheck,
    recheck_deletion,
    rule_violation,
)
from secaplane.command.rules.commands import Delete, Put, Revert
from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.model.actor import SYSTEM
from secaplane.model.errors import Conflict, Unavailable
from secaplane.model.events import AnyEvent, Created, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref, Resource, State
from tests.log.new_events import new_event
from tests.rules.command_scene import (
    ADMINISTERED,
    DISK,
    INSTANCE,
    OTHER_VM,
    SKU,
    SPARE,
    VM,
    VOLUME,
    Scene,
)
from tests.scenario import IDS, found

NETWORK = KINDS["network"].ref(IDS, "net")
SUBNET, OTHER_SUBNET = (KINDS["subnet"].ref(IDS, name) for name in ("s", "other"))
TABLE = KINDS["routing-table"].ref(IDS, "t")
NIC, NAT = KINDS["nic"].ref(IDS, "n"), KINDS["nat-gateway-instance"].ref(IDS, "g")
PUBLIC_IP = KINDS["public-ip"].ref(IDS, "p")
MAIN, MORE = {"ipv4": "10.0.0.0/16"}, {"ipv4": "10.1.0.0/16"}
RANGES: Json = SKU | {"cidr": MAIN, "additionalCidrs": [MORE, {"ipv4": "10.2.0.0/16"}]}
WITHOUT_MORE = RANGES | {"additionalCidrs": [{"ipv4": "10.2.0.0/16"}]}
WITHOUT_UNUSED = RANGES | {"additionalCidrs": [MORE]}
IN_MORE: Json = {
    "cidr": {"ipv4": "10.1.1.0/24"},
    "zone": "a",
    "routeTableRef": {"resource": "route-tables/t"},
}
IN_MAIN = IN_MORE | {"cidr": {"ipv4": "10.0.1.0/24"}}
MOVED = IN_MORE | {"cidr": {"ipv4": "10.0.9.0/24"}}
ROUTES: Json = {
    "routes": [{"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": "10.1.7.7"}}]
}
NO_ROUTES: Json = {
    "routes": [{"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": "10.0.7.7"}}]
}
IN_SUBNET: Json = {"subnetRef": {"resource": "networks/net/subnets/s"}}
ADDRESSED = IN_SUBNET | {"addresses": ["10.1.1.7"]}
WITH_SPARE = INSTANCE | {"dataVolumes": [{"deviceRef": {"resource": "block-storages/spare"}}]}
TWO: Json = INSTANCE | {"bootVolume": {"deviceRef": {"resource": "block-storages/two"}}}
DATA: Json = {"dataVolumes": WITH_SPARE["dataVolumes"]}
DISK_TWO = KINDS["block-storage"].ref(IDS, "two")


async def scene_with(*resources: tuple[Ref, Json]) -> Scene:
    """A workspace with these resources, each active."""
    scene = await Scene().given(ADMINISTERED, DISK, SPARE, DISK_TWO)
    sku = KINDS["network-sku"].ref({"tenant": SHARED_TENANT}, "s")
    for ref, spec in ((sku, {}), *resources):
        await scene.recorded(ref, Created(spec=spec), tenant="u1")
        await settle(scene, ref)
    return scene


async def settle(scene: Scene, ref: Ref, **status: Any) -> None:
    current = await the(scene, ref)
    report = found(State.ACTIVE, observed_position=0, **status)
    report = msgspec.structs.replace(report, observed_position=current.position)
    await scene.recorded(ref, report, tenant="u1")


async def the(scene: Scene, ref: Ref) -> Resource:
    current = await scene.dependencies.cache.current(ref)
    assert current is not None
    return current


async def refused(scene: Scene, ref: Ref, spec: Json, *blockers: Ref) -> None:
    refusal = await scene.refused(ref, spec)
    assert type(refusal) is Conflict, refusal.detail
    named = [KINDS[each.kind].urn(each) for each in blockers]
    assert refusal.meta == {"blockers": named, "count": len(named)}


# --- before the append


async def test_a_range_of_a_network_goes_once_nothing_is_in_it() -> None:
    scene = await scene_with((NETWORK, RANGES), (TABLE, ROUTES), (SUBNET, IN_MORE))
    await scene.put(NETWORK, WITHOUT_UNUSED, "unused")
    await scene.put(NETWORK, RANGES, "again")
    await refused(scene, NETWORK, WITHOUT_MORE, TABLE, SUBNET)
    await scene.put(TABLE, NO_ROUTES, "free")
    await refused(scene, NETWORK, WITHOUT_MORE, SUBNET)
    await scene.recorded(SUBNET, DeletionRequested(), tenant="u1")
    await scene.put(NETWORK, WITHOUT_MORE, "empty")


async def test_the_range_of_a_subnet_stays_while_a_nic_has_an_address_in_it() -> None:
    scene = await scene_with((NETWORK, RANGES), (TABLE, NO_ROUTES), (SUBNET, IN_MORE))
    await scene.put(SUBNET, MOVED, "free")
    await scene.put(SUBNET, IN_MORE, "back")
    await scene.recorded(NIC, Created(spec=IN_SUBNET), tenant="u1")
    await refused(scene, SUBNET, MOVED, NIC)  # it waits for an address
    await settle(scene, NIC, addresses=["10.1.1.2"])
    await refused(scene, SUBNET, MOVED, NIC)
    same = IN_MORE | {"cidr": {"ipv4": "10.1.1.9/24"}}
    await scene.put(SUBNET, same, "host bits are ignored")
    await scene.recorded(NIC, DeletionRequested(), tenant="u1")
    await scene.put(SUBNET, MOVED, "moved")


async def test_the_nic_of_a_nat_gateway_stays_in_its_zone() -> None:
    there = IN_MAIN | {"zone": "b"}
    gateway = {"nicRef": {"resource": "nics/n"}, "publicIpRef": {"resource": "p"}, "zone": "a"}
    scene = await scene_with(
        (NETWORK, RANGES),
        (TABLE, NO_ROUTES),
        (SUBNET, IN_MORE),
        (OTHER_SUBNET, there),
        (NIC, IN_SUBNET),
        (PUBLIC_IP, {"version": "IPv4"}),
        (NAT, gateway),
    )
    moved = {"subnetRef": {"resource": "networks/net/subnets/other"}}
    await refused(scene, NIC, moved, NAT)
    await scene.recorded(NAT, DeletionRequested(), tenant="u1")
    await scene.put(NIC, moved)


async def test_a_data_volume_belongs_to_one_instance_and_boots_no_other() -> None:
    scene = await scene_with((VM, WITH_SPARE))
    await refused(scene, OTHER_VM, WITH_SPARE, VM)
    from_spare = INSTANCE | {"bootVolume": {"deviceRef": {"resource": "block-storages/spare"}}}
    await refused(scene, OTHER_VM, from_spare, VM)
    await scene.put(OTHER_VM, INSTANCE, "one volume may boot several")
    data = TWO | {"dataVolumes": [{"deviceRef": {"resource": "block-storages/one"}}]}
    third = KINDS["instance"].ref(IDS, "three")
    await refused(scene, third, data, VM, OTHER_VM)
    await scene.put(VM, WITH_SPARE, "its own uses do not count")
    await scene.recorded(VM, DeletionRequested(), tenant="u1")
    await scene.put(OTHER_VM, WITH_SPARE, "what is being deleted does not count")


async def test_a_nic_belongs_to_one_instance() -> None:
    with_nic = INSTANCE | {"primaryNicRef": {"resource": "nics/n"}}
    additional = TWO | {"additionalNicRefs": [{"resource": "n"}]}
    scene = await scene_with((NIC, IN_SUBNET), (VM, with_nic), (OTHER_VM, TWO))
    await refused(scene, OTHER_VM, additional, VM)
    await scene.put(VM, INSTANCE, "released")
    await scene.put(OTHER_VM, additional)


# --- after the append


async def written(scene: Scene, ref: Ref, event: AnyEvent) -> tuple[Resource | None, Resource]:
    """The states before and after an event that a faster process did not see."""
    latest = await scene.dependencies.cache.current(ref)
    before = None if latest is None or latest.gone else latest
    await scene.recorded(ref, event, tenant="u1")
    return before, await the(scene, ref)


NETWORKED = ((NETWORK, RANGES), (TABLE, NO_ROUTES))
Given = Sequence[tuple[Ref, Json]]
Write = tuple[Ref, AnyEvent]
RIVALS: Sequence[tuple[str, Given, Write, Write]] = [
    (
        "a range goes, a subnet is made in it",
        NETWORKED,
        (NETWORK, Updated(spec=WITHOUT_MORE)),
        (SUBNET, Created(spec=IN_MORE)),
    ),
    (
        "a range goes, a subnet moves into it",
        (*NETWORKED, (SUBNET, IN_MAIN)),
        (NETWORK, Updated(spec=WITHOUT_MORE)),
        (SUBNET, Updated(spec=IN_MORE)),
    ),
    (
        "a range goes, a route gets a target in it",
        NETWORKED,
        (NETWORK, Updated(spec=WITHOUT_MORE)),
        (TABLE, Updated(spec=ROUTES)),
    ),
    (
        "a subnet moves, a NIC gets an address in its old range",
        (*NETWORKED, (SUBNET, IN_MORE)),
        (SUBNET, Updated(spec=MOVED)),
        (NIC, Created(spec=ADDRESSED)),
    ),
    (
        "two instances take one data volume",
        ((VM, INSTANCE), (OTHER_VM, TWO)),
        (VM, Updated(spec=WITH_SPARE)),
        (OTHER_VM, Updated(spec=TWO | DATA)),
    ),
    (
        "an instance boots from a volume, another takes it as data",
        ((OTHER_VM, TWO),),
        (VM, Created(spec=INSTANCE)),
        (
            OTHER_VM,
            Updated(spec=TWO | {"dataVolumes": [INSTANCE["bootVolume"]]}),
        ),
    ),
]


@pytest.mark.parametrize("order", ["first", "second"])
@pytest.mark.parametrize("rivals", RIVALS, ids=lambda rivals: rivals[0])
async def test_of_two_writes_that_exclude_each_other_the_lower_position_stays(
    rivals: tuple[str, Given, Write, Write], order: str
) -> None:
    """Neither saw the other before its append; the process that wrote and the reconciler find
    the same, at any later time."""
    _, existing, *pair = rivals
    scene = await scene_with(*existing)
    if order == "second":
        pair.reverse()
    early, late = [await written(scene, ref, event) for ref, event in pair]
    assert await recheck(scene.dependencies, *early, None) is None
    violation = await recheck(scene.dependencies, *late, None)
    assert violation is not None
    assert type(violation.refusal) is Conflict
    assert violation.refusal.detail.startswith(MEANWHILE)
    before, now = late
    assert violation.cause == now.last_intent
    if before is None:
        assert violation.command == Delete(regardless=True)
    else:
        assert violation.command == Revert(to=Put(spec=before.spec), expected=now.version)
    assert (await by_reconciler(scene, late[1])) == (violation.command, violation.cause)
    assert await by_reconciler(scene, early[1]) is None
    await scene.handled(now.ref, violation.command, "revert")
    reverted = await the(scene, now.ref)
    assert reverted.terminating if before is None else reverted.spec == before.spec


async def by_reconciler(scene: Scene, resource: Resource) -> tuple[object, object] | None:
    intent = await unanswered_intent(scene.dependencies, resource)
    assert intent is not None
    violation = await rule_violation(scene.dependencies, intent, resource, None)
    return None if violation is None else (violation.command, violation.cause)


async def test_a_race_is_answered_and_reverted_at_once() -> None:
    scene = await scene_with((VM, INSTANCE), (OTHER_VM, TWO))
    rival = Updated(spec=TWO | DATA)
    scene.log.faster = new_event(OTHER_VM, rival)
    await refused(scene, VM, WITH_SPARE, OTHER_VM)
    *_, reverted = await scene.log.read(VM)
    assert (reverted.event, reverted.actor) == (Updated(spec=INSTANCE), SYSTEM)


async def test_an_update_that_adds_a_reference_to_what_was_deleted_meanwhile_is_reverted() -> None:
    scene = await scene_with((VM, INSTANCE))
    scene.log.faster = new_event(SPARE, DeletionRequested())
    refusal = await scene.refused(VM, WITH_SPARE)
    assert type(refusal) is Conflict
    assert "block-storage not found" in refusal.detail
    assert (await the(scene, VM)).spec == INSTANCE


async def test_a_change_of_labels_asks_no_rule() -> None:
    scene = await scene_with((VM, WITH_SPARE), (OTHER_VM, TWO))
    await settle(scene, VM)
    await scene.recorded(OTHER_VM, Updated(spec=TWO | DATA), tenant="u1")
    await scene.handled(VM, Put(spec=WITH_SPARE, labels={"a": "b"}))
    await scene.recorded(SPARE, DeletionRequested(), tenant="u1")
    await scene.handled(VM, Put(spec=WITH_SPARE, labels={"a": "c"}), "again")


async def test_a_later_put_does_not_hide_an_earlier_one_that_must_not_stand() -> None:
    """The revert of the first expects its version; so the second finds the violation itself."""
    scene = await scene_with((VM, INSTANCE), (OTHER_VM, WITH_SPARE))
    await scene.recorded(VM, Updated(spec=WITH_SPARE), tenant="u1")
    refusal = await scene.refused(VM, WITH_SPARE | {"sshKeys": ["a"]})
    assert type(refusal) is Conflict
    assert (await the(scene, VM)).spec == INSTANCE


async def test_a_revert_is_not_reverted() -> None:
    scene = await scene_with((VM, INSTANCE), (OTHER_VM, TWO))
    await scene.recorded(VM, Updated(spec=WITH_SPARE), tenant="u1")
    now = await the(scene, VM)
    revert = Revert(to=Put(spec=INSTANCE), expected=now.version)
    await handle(scene.dependencies, VM, revert, actor=SYSTEM, request="revert")
    assert await unanswered_intent(scene.dependencies, await the(scene, VM)) is None


async def test_a_write_that_cannot_be_checked_yet_is_recorded_and_not_confirmed() -> None:
    """The read model is behind; the reconciler checks it before it calls a cloud."""
    scene = await scene_with((VM, INSTANCE))
    scene.counted = False
    refusal = await scene.refused(OTHER_VM, TWO)
    assert (type(refusal), refusal.detail) == (Unavailable, UNCHECKED)
    assert (await the(scene, OTHER_VM)).spec == TWO
    with pytest.raises(Unavailable):
        await scene.handled(SPARE, Delete())
    assert (await the(scene, SPARE)).terminating
    await scene.put(DISK_TWO, VOLUME, "no rule of a volume is about others")


# --- deletions


async def test_a_deletion_is_reverted_if_a_reference_came_first() -> None:
    scene = await scene_with((VM, INSTANCE))
    scene.log.faster = new_event(VM, Updated(spec=WITH_SPARE))
    with pytest.raises(Conflict) as raised:
        await scene.handled(SPARE, Delete())
    assert raised.value.meta == {"blockers": [KINDS["instance"].urn(VM)], "count": 1}
    spare = await the(scene, SPARE)
    assert (spare.terminating, spare.spec, spare.state) == (False, VOLUME, State.UPDATING)
    await scene.put(VM, INSTANCE, "released")
    await scene.handled(SPARE, Delete(), "again")
    assert (await the(scene, SPARE)).terminating


async def test_a_deletion_stays_if_the_reference_came_later_or_goes() -> None:
    scene = await scene_with((VM, INSTANCE), (OTHER_VM, WITH_SPARE))
    await scene.recorded(OTHER_VM, DeletionRequested(), tenant="u1")
    before, now = await written(scene, SPARE, DeletionRequested())
    await scene.recorded(VM, Updated(spec=WITH_SPARE), tenant="u1")
    assert await recheck_deletion(scene.dependencies, before, now, None) is None
