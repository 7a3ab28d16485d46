"""The tables of the group `resources`, and the queries that read them, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from secaplane.model.events import Created, Deleted, DeletionRequested, Updated
from secaplane.model.shape import Json, Ref
from secaplane.readmodel import questions
from secaplane.readmodel.batching import _ANY, BatchedReads
from secaplane.readmodel.questions.referrers import Referrer
from tests.flows.read_models import rows_of
from tests.flows.rows_by_hand import Rows, at, rows_in
from tests.flows.simulated_site import SMALL

WEB = at("workspace", "web")
DISK, OTHER = at("block-storage", "disk"), at("block-storage", "other")
ONE, TWO = at("instance", "one"), at("instance", "two")
NIC, ADDRESS = at("nic", "nic"), at("public-ip", "address")
GOES = (DeletionRequested(), Deleted())


@pytest.fixture
async def made(database_url: str) -> AsyncIterator[Rows]:
    async with rows_in(database_url) as hand:
        yield hand


def boots_from(disk: Ref, nic: Ref | None = None) -> Json:
    spec: Json = {"bootVolume": {"deviceRef": {"resource": f"block-storages/{disk.name}"}}}
    return spec | ({"primaryNicRef": {"resource": f"nics/{nic.name}"}} if nic else {})


def reached_at(address: Ref) -> Json:
    return {"publicIpRefs": [{"resource": f"public-ips/{address.name}"}]}


# --- labels


async def labels(made: Rows) -> list[tuple[str, str, int]]:
    found = await made.pool.fetch("select key, value, life from labels order by life, key, value")
    return [tuple(row) for row in found]


async def test_labels_are_those_of_the_last_intent(made: Rows) -> None:
    await made.take((DISK, Created(spec=SMALL, labels={"a": "1", "b": "2"})))
    assert await labels(made) == [("a", "1", 1), ("b", "2", 1)]
    await made.take((DISK, Updated(spec=SMALL, labels={"a": "1", "b": "3", "c": ""})))
    assert await labels(made) == [("a", "1", 1), ("b", "3", 1), ("c", "", 1)]
    await made.take((DISK, Updated(spec=SMALL)), (DISK, Updated(spec=SMALL, labels={"a": "1"})))
    assert await labels(made) == [("a", "1", 1)]


async def test_what_is_gone_keeps_its_labels_and_the_next_life_has_its_own(made: Rows) -> None:
    first, second = Created(spec=SMALL, labels={"a": "1"}), Created(spec=SMALL, labels={"a": "2"})
    await made.take((DISK, first))
    await made.take((DISK, GOES[0]), (DISK, GOES[1]), (DISK, second), (DISK, GOES[0]))
    assert await labels(made) == [("a", "1", 1), ("a", "2", 4)]


async def test_a_label_that_is_a_number_has_one(made: Rows) -> None:
    said = {"0": "1", "1": "-2.50", "2": "+3", "3": "1e3", "4": "", "5": "9" * 63, "6": "1."}
    await made.take((DISK, Created(spec=SMALL, labels=said)))
    found = await made.pool.fetch("select key, number::text from labels where number is not null")
    assert {row[0]: row[1] for row in found} == {"0": "1", "1": "-2.50", "2": "3", "5": "9" * 63}


# --- links


async def test_who_refers_to_what_is_known_until_it_is_gone(made: Rows) -> None:
    await made.take((TWO, Created(spec=boots_from(DISK))), (ONE, Created(spec=boots_from(DISK))))
    found = await questions.referrers(made.pool, [DISK, OTHER], kinds=["instance"])
    assert found == [Referrer(DISK, TWO, False), Referrer(DISK, ONE, False)]
    await made.take((TWO, Updated(spec=boots_from(OTHER))), (ONE, GOES[0]))
    found = await questions.referrers(made.pool, [OTHER, DISK, DISK], kinds=["instance"])
    assert found == [Referrer(DISK, ONE, True), Referrer(OTHER, TWO, False)]
    assert await questions.referrers(made.pool, [DISK], kinds=["nic"]) == []
    await made.take((ONE, GOES[1]), (TWO, GOES[0]), (TWO, GOES[1]))
    assert (await rows_of(made.pool, "resources"))["links"] == []


async def test_sharing_referrers_have_a_target_in_common(made: Rows) -> None:
    three = at("instance", "three")
    for ref, spec in ((ONE, boots_from(DISK)), (TWO, boots_from(DISK)), (three, boots_from(OTHER))):
        await made.take((ref, Created(spec=spec)))
    assert await questions.sharing_referrers(made.pool, [ONE], kinds=["instance"]) == [TWO]
    assert await questions.sharing_referrers(made.pool, [ONE, TWO], kinds=["instance"]) == [
        ONE,
        TWO,
    ]
    assert await questions.sharing_referrers(made.pool, [three], kinds=["instance"]) == []
    assert await questions.sharing_referrers(made.pool, [ONE], kinds=["nic"]) == []


async def test_a_referrer_is_outpaced_by_a_later_change_of_its_target_or_of_another_referrer(
    made: Rows,
) -> None:
    await made.take((ADDRESS, Created(spec={})), (NIC, Created(spec=reached_at(ADDRESS))))
    assert await questions.outpaced(made.pool, ["nic"]) == []
    await made.take((ADDRESS, Updated(spec={})))
    assert await questions.outpaced(made.pool, ["nic"]) == [NIC]
    await made.take((NIC, Updated(spec=reached_at(ADDRESS))))
    assert await questions.outpaced(made.pool, ["nic"]) == []
    later = at("nic", "later")
    await made.take((later, Created(spec=reached_at(ADDRESS))))
    assert await questions.outpaced(made.pool, ["nic"]) == [NIC]
    assert await questions.outpaced(made.pool, ["instance"]) == []
    await made.take((ADDRESS, GOES[0]), (ADDRESS, GOES[1]))
    assert await questions.outpaced(made.pool, ["nic"]) == [later, NIC]


# --- what is derived when it is read


async def status(made: Rows, ref: Ref) -> Json:
    """By GET; a list says the same."""
    together = BatchedReads(made.pool)
    found = (await together._select({ref}, _ANY.alone))[ref]
    assert found is not None
    listed = await page(made, ref, deleted=False)
    assert [each for each in listed if json(each)["metadata"]["name"] == ref.name] == [found[0]]
    shown: Json = json(found[0])["status"]
    return shown


async def page(made: Rows, ref: Ref, *, deleted: bool | None) -> list[str]:
    found = await questions.page(
        made.pool, ref.kind, ref.collection, after=("", 0), limit=100, deleted=deleted
    )
    return [each.document for each in found if each.document is not None]


def json(document: str) -> Json:
    return msgspec.json.decode(document, type=Json)


def instance(name: str) -> Json:
    return {
        "resource": f"instances/{name}",
        "provider": "seca.compute/v1",
        "tenant": "acme",
        "workspace": "web",
    }


async def test_a_volume_shows_the_oldest_instance_that_uses_it(made: Rows) -> None:
    await made.take((DISK, Created(spec=SMALL)))
    assert "attachedTo" not in await status(made, DISK)
    await made.take((TWO, Created(spec=boots_from(DISK))), (ONE, Created(spec=boots_from(DISK))))
    assert (await status(made, DISK))["attachedTo"] == instance("two")
    await made.take((TWO, GOES[0]), (TWO, GOES[1]))
    assert (await status(made, DISK))["attachedTo"] == instance("one")
    await made.take((ONE, Updated(spec=boots_from(OTHER))))
    assert "attachedTo" not in await status(made, DISK)


async def test_an_address_shows_the_instance_behind_its_nic(made: Rows) -> None:
    await made.take((ADDRESS, Created(spec={})), (NIC, Created(spec=reached_at(ADDRESS))))
    assert "attachedTo" not in await status(made, ADDRESS)
    await made.take((ONE, Created(spec=boots_from(DISK, NIC))))
    assert (await status(made, ADDRESS))["attachedTo"] == instance("one")
    await made.take((NIC, GOES[0]), (NIC, GOES[1]))
    assert "attachedTo" not in await status(made, ADDRESS)


async def test_a_workspace_shows_how_many_are_in_it(made: Rows) -> None:
    await made.take((WEB, Created(spec={})))
    assert (await status(made, WEB))["resourceCount"] == 0
    elsewhere = at("block-storage", "disk", workspace="elsewhere")
    both = Created(spec=SMALL)
    await made.take((DISK, both), (OTHER, both), (elsewhere, both), (OTHER, GOES[0]))
    assert (await status(made, WEB))["resourceCount"] == 2
    await made.take((OTHER, GOES[1]), (OTHER, both), (DISK, GOES[0]), (DISK, GOES[1]))
    assert (await status(made, WEB))["resourceCount"] == 1
    await made.take((OTHER, GOES[0]), (OTHER, GOES[1]))
    assert (await status(made, WEB))["resourceCount"] == 0


async def test_what_is_gone_shows_neither(made: Rows) -> None:
    await made.take((at("tenant", "acme"), Created(spec={})), (WEB, Created(spec={})))
    await made.take((ONE, Created(spec=boots_from(DISK))), (DISK, Created(spec=SMALL)))
    for ref in (DISK, WEB):
        await made.take(*((ref, each) for each in GOES))
        (gone,) = await page(made, ref, deleted=True)
        assert not json(gone)["status"].keys() & {"attachedTo", "resourceCount"}


async def test_how_many_are_below_is_known_beyond_those_that_are_named(made: Rows) -> None:
    names = [at("block-storage", f"v{n}") for n in range(5)]
    await made.take(*((each, Created(spec=SMALL)) for each in names), (names[0], GOES[0]))
    kinds = ["block-storage", "instance"]
    found = await questions.below_counted(
        made.pool, kinds, WEB.path, include_terminating=False, limit=2
    )
    assert found == (names[1:3], 4)
    assert (
        await questions.below(made.pool, kinds, WEB.path, include_terminating=True, limit=9)
        == names
    )


async def test_resources_are_found_by_their_addresses(made: Rows) -> None:
    await made.take((DISK, Created(spec=SMALL)), (OTHER, Created(spec=SMALL)))
    await made.take((OTHER, GOES[0]), (OTHER, GOES[1]))
    found = await questions.resources_at(made.pool, [DISK, OTHER, ONE])
    assert {ref: each.spec for ref, each in found.items()} == {DISK: SMALL}


async def test_projecting_a_resource_again_gives_the_same_rows(made: Rows) -> None:
    """One that lives, one that is gone, and one whose name is used again."""
    both = Created(spec=boots_from(DISK), labels={"a": "1"})
    await made.take((ONE, both), (TWO, both), (TWO, GOES[0]), (TWO, GOES[1]))
    await made.take((NIC, both), (NIC, GOES[0]), (NIC, GOES[1]), (NIC, both))
    was = await rows_of(made.pool, "resources")
    for ref in (ONE, TWO, NIC):
        await made.project_again(ref)
        assert await rows_of(made.pool, "resources") == was
