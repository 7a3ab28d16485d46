"""Flavor names of the Sovereign Cloud Stack (scs-0100-v3): what they promise, and whether a flavor
keeps it."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secaplane.plugins.openstack.flavor_names import (
    CPU_TYPES,
    FlavorName,
    WrongName,
    broken_promises,
    parse,
)

MANDATORY = Path(__file__).parents[3] / "shared/realworld/scs/mandatory-flavors.yaml"


@pytest.mark.parametrize(
    ("name", "promised"),
    [
        ("SCS-2C-4-10n", FlavorName(cpus=2, cpu="C", gib=4, disks=1, disk_gb=10, disk_type="n")),
        ("SCS-1V-0.5", FlavorName(cpus=1, cpu="V", gib=0.5)),
        (
            "SCS-1L-1u-5",
            FlavorName(cpus=1, cpu="L", gib=1, without_ecc=True, disks=1, disk_gb=5),
        ),
        (
            "SCS-8Ti-32uo",
            FlavorName(
                cpus=8, cpu="T", insecure=True, gib=32, without_ecc=True, oversubscribed=True
            ),
        ),
        ("SCS-2C-4-", FlavorName(cpus=2, cpu="C", gib=4, disks=1)),
        ("SCS-2C-4-n", FlavorName(cpus=2, cpu="C", gib=4, disks=1, disk_type="n")),
        (
            "SCS-4C-16-2x200p_a1",
            FlavorName(
                cpus=4,
                cpu="C",
                gib=16,
                disks=2,
                disk_gb=200,
                disk_type="p",
                extensions={"arch": "a1"},
            ),
        ),
        (
            "SCS-16T-64-200s_bms_hwv_z3hh_GNa-64h_ib",
            FlavorName(
                cpus=16,
                cpu="T",
                gib=64,
                disks=1,
                disk_gb=200,
                disk_type="s",
                extensions={
                    "hypervisor": "bms",
                    "nested": "hwv",
                    "arch": "z3hh",
                    "gpu": "GNa-64h",
                    "infiniband": "ib",
                },
            ),
        ),
        (
            "SCS-2C-4-_ib",
            FlavorName(cpus=2, cpu="C", gib=4, disks=1, extensions={"infiniband": "ib"}),
        ),
        ("SCS-2C-4_bms", FlavorName(cpus=2, cpu="C", gib=4, extensions={"hypervisor": "bms"})),
    ],
)
def test_a_name_is_read_and_written_back(name: str, promised: FlavorName) -> None:
    assert parse(name) == promised
    assert promised.written == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("m1.small", "begins with SCS-"),
        ("SCS-2-4-10n", "a number of CPUs, then C, T, V or L"),
        ("SCS-2iT-4-10n", "a number of CPUs, then C, T, V or L"),
        ("SCS-0C-4", "a number of CPUs"),
        ("SCS-2C", "GiB of memory"),
        ("SCS-2C-4.3", "'.3' is no part"),
        ("SCS-2C-0", "has memory"),
        ("SCS-2C-4ou-10n", "'u-10n' is no part"),
        ("SCS-2C-4-1.5n", "is no part"),
        ("SCS-2C-4-10_hwv_xen", "'_xen' is no part"),
        ("SCS-2C-4-3x", "is no part"),
        ("SCS-2V:4:10", "GiB of memory"),
        ("SCS-2V-4-10 ", "is no part"),
        ("SCS-2V-4-10\n", "is no part"),
        ("SCS-2C-4-n_bms_3", "'_3' is no part"),
    ],
)
def test_a_name_that_does_not_follow_the_standard_is_refused(name: str, reason: str) -> None:
    with pytest.raises(WrongName, match=reason) as refused:
        parse(name)
    assert "\n" not in str(refused.value).removeprefix(name)


@given(
    st.builds(
        FlavorName,
        cpus=st.integers(1, 999),
        cpu=st.sampled_from([*CPU_TYPES]),
        insecure=st.booleans(),
        gib=st.integers(1, 4000).map(lambda n: n / 2),
        without_ecc=st.booleans(),
        oversubscribed=st.booleans(),
    )
)
def test_every_name_is_read_as_it_was_written(name: FlavorName) -> None:
    assert parse(name.written) == name


@given(st.text(alphabet="SC-12VTLi.4uo0nx_bmshwvzaGN ", max_size=30))
def test_what_is_read_is_what_was_written(text: str) -> None:
    """No two texts have the same promises, but for an older way to write a number."""
    try:
        name = parse(f"SCS-{text}")
    except WrongName:
        return
    assert parse(name.written) == name


@pytest.mark.parametrize(
    ("name", "cpus", "ram_mib", "disk_gb", "extra", "broken"),
    [
        ("SCS-2V-4", 2, 4096, 0, {"scs:cpu-type": "shared-core"}, []),
        ("SCS-2V-4", 4, 8192, 100, {"scs:cpu-type": "dedicated-core"}, []),
        ("SCS-2V-4", 1, 4096, 0, {}, ["it has 1 CPUs of 2"]),
        ("SCS-2V-4", 2, 4000, 0, {}, ["it has 4000 MiB of 4096"]),
        ("SCS-2V-4-20s", 2, 4096, 10, {"scs:disk0-type": "ssd"}, ["it has 10 GB of disk of 20"]),
        (
            "SCS-2V-4-20s",
            2,
            4096,
            20,
            {"scs:disk0-type": "network"},
            ["its disk is network, not ssd"],
        ),
        (
            "SCS-2C-4",
            2,
            4096,
            0,
            {"scs:cpu-type": "shared-core"},
            ["its CPUs are shared-core, not dedicated-core"],
        ),
    ],
)
def test_a_flavor_has_at_least_what_its_name_says(
    name: str, cpus: int, ram_mib: int, disk_gb: int, extra: dict[str, str], broken: list[str]
) -> None:
    found = broken_promises(parse(name), cpus=cpus, ram_mib=ram_mib, disk_gb=disk_gb, extra=extra)
    assert [*found] == broken


@pytest.mark.parametrize(("name", "of"), [("a2", "arm64"), ("z3", "amd64"), ("r", "")])
def test_a_name_says_the_architecture(name: str, of: str) -> None:
    assert parse(f"SCS-2C-4_{name}").architecture == of
    assert parse("SCS-2C-4").architecture == "amd64"


@pytest.mark.skipif(not MANDATORY.exists(), reason="the table of the standard is not here")
def test_the_mandatory_flavors_keep_their_promises() -> None:
    for each in yaml.safe_load(MANDATORY.read_text())["mandatory"]:
        name, disk = parse(each["name"]), each.get("disk", 0)
        extra = {key: value for key, value in each.items() if key.startswith("scs:")}
        broken = broken_promises(
            name, cpus=each["cpus"], ram_mib=each["ram"], disk_gb=disk, extra=extra
        )
        assert [*broken] == []
