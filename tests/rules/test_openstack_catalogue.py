"""The catalogue of an OpenStack cloud: a declared table, checked against what the cloud has."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from secaplane.model.shape import Json
from secaplane.plugins.openstack.catalogue import LeftOut, offered
from secaplane.plugins.openstack.offers import Offers, read_offers
from secaplane.plugins.openstack.volumes import gb_of, gib_of
from secaplane.plugins.plugin import CatalogueEntry

TABLE = (Path(__file__).parents[2] / "examples/openstack_offers.toml").read_text()
FLAVOR: Json = {
    "name": "SCS-2V-4",
    "vcpus": 2,
    "ram": 4096,
    "disk": 0,
    "extra_specs": {"scs:cpu-type": "shared-core"},
}
IMAGE: Json = {"id": "i1", "architecture": "x86_64", "hw_firmware_type": "uefi"}


def table(place: Path, text: str = TABLE) -> Offers:
    file = place / "offers.toml"
    file.write_text(text)
    return read_offers(file)


def found(
    offers: Offers,
    flavors: Sequence[Json] = (FLAVOR,),
    types: Sequence[str] = ("standard",),
    image: Json | None = IMAGE,
) -> list[CatalogueEntry | LeftOut]:
    return [*offered(offers, flavors, set(types), {"Ubuntu 24.04": image})]


def test_what_the_cloud_has_is_offered_as_the_table_says(tmp_path: Path) -> None:
    assert found(table(tmp_path)) == [
        CatalogueEntry("instance-sku", "DS", {"vCPU": 2, "ram": 4}, {"tier": "DS"}),
        CatalogueEntry(
            "storage-sku",
            "RD500",
            {"iops": 500, "type": "remote-durable", "minVolumeSize": 50},
        ),
        CatalogueEntry(
            "image",
            "ubuntu-24.04",
            {
                "blockStorageRef": {"resource": "block-storages/ubuntu-24.04"},
                "cpuArchitecture": "amd64",
                "boot": "UEFI",
                "initializer": "cloudinit-22",
            },
        ),
    ]


def test_a_flavor_is_found_by_the_name_in_its_extra_specs(tmp_path: Path) -> None:
    other = FLAVOR | {"name": "b2.small", "extra_specs": {"scs:name-v4": "SCS-2V-4"}}
    (sku, *_) = found(table(tmp_path), [FLAVOR | {"name": "x"}, other])
    assert isinstance(sku, CatalogueEntry)


@pytest.mark.parametrize(
    ("flavors", "reason"),
    [
        ([], "the cloud has no flavor SCS-2V-4"),
        ([FLAVOR | {"vcpus": 1}], "SCS-2V-4: it has 1 CPUs of 2"),
        ([FLAVOR | {"extra_specs": {"scs:cpu-type": "crowded-core"}}], "its CPUs are crowded-core"),
        ([FLAVOR | {"vcpus": 500}], "vCPU"),
    ],
)
def test_a_flavor_that_is_gone_or_less_than_its_name_is_left_out(
    tmp_path: Path, flavors: list[Json], reason: str
) -> None:
    (sku, storage, image) = found(table(tmp_path), flavors)
    assert isinstance(sku, LeftOut)
    assert reason in sku.reason
    assert isinstance(storage, CatalogueEntry)
    assert isinstance(image, CatalogueEntry)


def test_a_volume_type_or_an_image_that_is_gone_is_left_out(tmp_path: Path) -> None:
    (_, storage, image) = found(table(tmp_path), types=["secure"], image=None)
    assert storage == LeftOut("storage-sku", "RD500", "the cloud has no volume type standard")
    assert image == LeftOut("image", "ubuntu-24.04", "the cloud has no public image Ubuntu 24.04")
    (*_, image) = found(table(tmp_path), image=IMAGE | {"architecture": "riscv64"})
    assert isinstance(image, LeftOut)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("[zones]", "[zone]", "unknown field `zone`"),
        ('a = "az-1"', "", "names at least one zone"),
        ("flavor =", "flavour =", "flavour"),
        ("iops = 500", "iops = 0", "storage-sku RD500"),
        ('name = "DS"', "name = 7", "name"),
        ("[zones]", "[zones", "offers.toml"),
        (
            "[[image]]",
            '[[storage-sku]]\nname = "seca.rd500"\nvolume-type = "x"\n'
            'spec = { iops = 1, type = "local-durable", minVolumeSize = 1 }\n[[image]]',
            "duplicate name",
        ),
    ],
)
def test_a_wrong_table_is_refused_with_its_entry(
    tmp_path: Path, before: str, after: str, reason: str
) -> None:
    assert before in TABLE
    with pytest.raises(ValueError, match=reason.replace("[", r"\[")):
        table(tmp_path, TABLE.replace(before, after))


def test_an_alias_of_a_storage_sku_is_that_sku(tmp_path: Path) -> None:
    offers = table(tmp_path)
    assert offers.storage("seca.rd500") == offers.storage("RD500") is not None
    assert offers.storage("LD500") is None


@pytest.mark.parametrize(("gb", "gib"), [(1, 1), (2, 2), (10, 10), (100, 94), (1_000_000, 931_323)])
def test_a_volume_has_room_for_the_gigabytes_of_its_block_storage(gb: int, gib: int) -> None:
    assert gib_of(gb) == gib
    assert gib * 2**30 >= gb * 10**9
    assert gb_of(gib, gb) == gb
    assert gb_of(gib + 1, gb) > gb or gb < 14
