"""The simulated cloud over HTTP and with a file, as reconcilers use it."""

import asyncio
import signal
from collections import Counter
from collections.abc import Coroutine
from ipaddress import ip_network
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.shape import Json
from secaplane.plugins.plugin import CloudUnavailable, Outcome, Ready, TerminalError
from secaplane.plugins.simulated.catalogue import STANDARD, read
from secaplane.plugins.simulated.wire import ChangeCounts
from tests.flows.simulated_site import (
    BALANCER,
    IN_ZONE_A,
    LARGE,
    NETWORK,
    NIC,
    OFF,
    ON,
    PUBLIC_IP,
    SMALL,
    SUBNET,
    WHOLE,
    a,
    process,
    running,
    serve,
)
from tests.positions import nth


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cloud.db"


# --- idempotency


async def test_repeated_calls_create_a_thing_once(file: Path) -> None:
    volumes = [a("block-storage", SMALL, uid=f"u{n}") for n in range(8)]
    async with running(file) as site:
        outcomes = await asyncio.gather(*map(site.ensure, volumes * 4))
        counts = await site.counts()
    assert outcomes == [Ready({"sizeGB": 10})] * 32
    assert counts.creates == {volume.uid: 1 for volume in volumes}
    assert counts.totals == {"block-storage": {"creates": 8, "removes": 0, "actions": 0}}


async def test_a_restarted_cloud_has_its_things(file: Path) -> None:
    async with running(file) as site:
        await site.ensure(a("instance", IN_ZONE_A))
        await site.act(a("instance", IN_ZONE_A), "start", nth(5))
        before = await site.things()
    async with running(file) as site:
        assert await site.ensure(a("instance", IN_ZONE_A, power="on")) == ON
        assert await site.things() == before
        assert (await site.counts()).creates == {"u1": 1}


async def test_a_killed_cloud_has_every_thing_that_it_had_answered(file: Path) -> None:
    async with process(file) as (cloud, site):
        await site.ensure(a("block-storage", SMALL))
        cloud.send_signal(signal.SIGKILL)
        await cloud.communicate()
        with pytest.raises(CloudUnavailable):
            await site.ensure(a("block-storage", SMALL))
    async with running(file) as site:
        assert [thing.uid for thing in await site.things()] == ["u1"]


async def test_a_cloud_killed_before_its_answer_has_made_the_thing_once(file: Path) -> None:
    account = a("object-storage-account", {})
    async with process(file) as (cloud, site), asyncio.TaskGroup() as group:
        await site.misbehave(hold_answers_s=60)
        asked = group.create_task(unanswered(site.ensure(account)))
        made = await site.first_things()
        cloud.send_signal(signal.SIGKILL)
        await cloud.communicate()
        await asked
    async with running(file, faults={}) as site:
        assert await site.ensure(account) == Ready(made[0].status)
        assert (await site.counts()).creates == {"u1": 1}


async def unanswered(asked: Coroutine[None, None, Outcome]) -> None:
    with pytest.raises(CloudUnavailable):
        await asked


async def test_removing_a_thing_that_never_existed_is_ready(file: Path) -> None:
    async with running(file) as site:
        assert await site.remove(a("workspace", {})) == Ready()
        assert await site.counts() == ChangeCounts({}, {}, {}, {})


async def test_repeated_removals_count_once(file: Path) -> None:
    async with running(file) as site:
        await site.ensure(a("workspace", {}))
        assert await site.remove(a("workspace", {})) == Ready()
        assert await site.remove(a("workspace", {})) == Ready()
        assert await site.things() == []
        assert (await site.counts()).removes == {"u1": 1}


async def test_a_kind_without_a_provisioner_is_ready_at_once(file: Path) -> None:
    async with running(file) as site:
        assert await site.ensure(a("weather-machine", {"rain": True})) == Ready()
        assert (await site.counts()).totals["weather-machine"]["creates"] == 1


async def test_a_uid_may_contain_any_character(file: Path) -> None:
    async with running(file) as site:
        await site.ensure(a("workspace", {}, uid="a/b c?d%2F"))
        assert [thing.uid for thing in await site.things()] == ["a/b c?d%2F"]


# --- power


async def test_an_action_is_performed_once_for_each_key(file: Path) -> None:
    instance = a("instance", IN_ZONE_A)
    async with running(file) as site:
        assert await site.ensure(instance) == OFF
        assert await site.act(instance, "start", nth(5)) == ON
        assert await site.act(instance, "start", nth(5)) == ON
        assert await site.act(instance, "restart", nth(6)) == ON
        assert await site.act(instance, "stop", nth(7)) == OFF
        assert (await site.counts()).actions == {"u1": 3}
    async with running(file) as site:
        assert await site.act(instance, "start", nth(5)) == OFF
        assert (await site.counts()).actions == {"u1": 3}


async def test_a_superseded_action_is_not_performed(file: Path) -> None:
    instance = a("instance", IN_ZONE_A)
    async with running(file) as site:
        await site.act(instance, "stop", nth(7))
        assert await site.act(instance, "start", nth(5)) == OFF


async def test_a_new_instance_gets_its_desired_power(file: Path) -> None:
    async with running(file) as site:
        assert await site.ensure(a("instance", IN_ZONE_A, power="on")) == ON


async def test_an_unknown_action_is_refused(file: Path) -> None:
    async with running(file) as site:
        outcome = await site.act(a("instance", IN_ZONE_A), "fly", nth(5))
        assert outcome == TerminalError("ActionUnknown", "this cloud has no action fly")
        assert await site.things() == []


# --- refusals


@pytest.mark.parametrize(
    ("kind", "spec", "reason"),
    [
        ("instance", IN_ZONE_A | {"zone": "z"}, "ZoneUnknown"),
        ("instance", IN_ZONE_A | {"skuRef": {"resource": "skus/seca.rd100"}}, "SkuUnknown"),
        ("block-storage", SMALL | {"skuRef": {"resource": "skus/seca.ds"}}, "SkuUnknown"),
    ],
)
async def test_a_refused_thing_leaves_nothing_behind(
    file: Path, kind: str, spec: Json, reason: str
) -> None:
    async with running(file) as site:
        outcome = await site.ensure(a(kind, spec))
        assert isinstance(outcome, TerminalError)
        assert outcome.reason == reason
        assert await site.things() == []
        assert await site.counts() == ChangeCounts({}, {}, {}, {})


async def test_a_volume_grows_and_does_not_shrink(file: Path) -> None:
    async with running(file) as site:
        await site.ensure(a("block-storage", SMALL))
        assert await site.ensure(a("block-storage", LARGE)) == Ready({"sizeGB": 20})
        refused = await site.ensure(a("block-storage", SMALL))
        assert refused == TerminalError("CannotShrink", "it has 20 GB and cannot shrink")
        assert [thing.spec for thing in await site.things()] == [LARGE]


async def test_a_cloud_refuses_the_things_that_faults_name(file: Path) -> None:
    no = {"kind": "workspace", "name": "bad-*", "reason": "Forbidden", "message": "not here"}
    async with running(file, faults={"refuse": [no]}) as site:
        refused = await site.ensure(a("workspace", {}, uid="bad-1"))
        assert refused == TerminalError("Forbidden", "not here")
        assert await site.ensure(a("workspace", {}, uid="good")) == Ready()
        assert await site.ensure(a("internet-gateway", {}, uid="bad-1")) == Ready()


# --- addresses


async def test_no_address_is_assigned_twice_while_it_is_held(file: Path) -> None:
    ips = [a("public-ip", PUBLIC_IP, uid=f"u{n}") for n in range(20)]
    async with running(file) as site:
        await asyncio.gather(*map(site.ensure, ips[:10]))
        await asyncio.gather(*map(site.remove, ips[:5]))
    async with running(file) as site:
        await asyncio.gather(*map(site.ensure, ips[10:]))
        assert len(set(await site.public_addresses())) == 15


async def test_an_address_is_free_when_its_holder_is_removed(file: Path) -> None:
    async with running(file) as site:
        await site.ensure(a("public-ip", PUBLIC_IP, uid="first"))
        await site.ensure(a("public-ip", PUBLIC_IP, uid="first"))
        assert await site.public_addresses() == ["198.18.0.1"]
        await site.remove(a("public-ip", PUBLIC_IP, uid="first"))
        await site.ensure(a("public-ip", PUBLIC_IP, uid="second"))
        assert await site.public_addresses() == ["198.18.0.1"]


async def test_concurrent_calls_get_distinct_ranges_and_addresses(file: Path) -> None:
    network, subnet = a("network", NETWORK, uid="n"), a("subnet", SUBNET, uid="s")
    parts = [a("subnet", SUBNET, uid=f"s{n}") for n in range(200)]
    nics = [a("nic", NIC, uid=f"n{n}") for n in range(200)]
    async with running(file) as site:
        await site.ensure(network)
        await site.ensure(subnet, network=network)
        await asyncio.gather(
            *(site.ensure(part, network=network) for part in parts),
            *(site.ensure(nic, **{"/subnetRef": subnet}) for nic in nics),
        )
        made = {thing.uid: thing.status for thing in await site.things()}
    ranges = sorted(ip_network(made[each.uid]["cidr"]["ipv4"]) for each in [subnet, *parts])
    assert not any(one.overlaps(other) for one, other in pairwise(ranges))
    assert all(ip_network("10.0.0.0/16").overlaps(each) for each in ranges)
    assert len({made[nic.uid]["addresses"][0] for nic in nics}) == 200
    assert len({made[nic.uid]["macAddress"] for nic in nics}) == 200


# --- references


async def test_a_dependent_status_needs_no_delay_and_no_count(
    file: Path,
) -> None:
    now_s = 1000.0
    nic, machine = a("nic", NIC | {"addresses": ["10.0.0.9"]}), a("instance", IN_ZONE_A, uid="i")
    balancer = a("network-load-balancer", BALANCER, uid="b")
    member = {"/frontends/0/target/members/0": nic}
    async with running(file, clock=lambda: now_s) as site:
        assert await site.ensure(balancer, **member) == Ready({"healthyMembers": []})
        await site.ensure(nic)
        await site.act(machine, "start", nth(5), **{"/primaryNicRef": nic})
        await site.misbehave(delay_s=10)
        now_s += 60
        before = await site.counts()
        well = Ready({"healthyMembers": [{"resource": "nics/n"}]})
        assert await site.ensure(balancer, **member) == well
        assert await site.counts() == before


async def test_the_status_of_every_kind_matches_its_schema(file: Path) -> None:
    made = [kind for kind in KINDS.values() if kind.backing is Backing.PLUGIN]
    async with running(file) as site:
        network = a("network", NETWORK, uid="network")
        await site.ensure(network)
        for kind in made:
            spec = WHOLE.get(kind.name, {})
            outcome = await site.ensure(a(kind.name, spec, uid=kind.name), network=network)
            assert isinstance(outcome, Ready), (kind.name, outcome)
            msgspec.convert(outcome.status, kind.status)
            msgspec.convert(spec, kind.spec)
            assert await site.ensure(a(kind.name, spec, uid=kind.name), network=network) == outcome
    assert {kind.name for kind in made} >= set(WHOLE)


# --- the catalogue


async def test_the_catalogue_has_the_region_and_the_standard_skus(file: Path) -> None:
    async with running(file) as site:
        region, *skus = await site.plugin.catalogue()
    assert (region.kind, region.name) == ("region", "eu-1")
    assert region.spec == {"availableZones": ["a", "b", "c"]}
    assert Counter(sku.kind for sku in skus) == {
        "instance-sku": 17,
        "storage-sku": 15,
        "network-sku": 3,
        "kubernetes-cluster-sku": 4,
    }
    assert len({(sku.kind, sku.name) for sku in skus}) == len(skus)
    for sku in skus:
        msgspec.convert(sku.spec, KINDS[sku.kind].spec)
        assert sku.labels["tier"] == sku.name


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("zones = [", "cannot|Invalid|Unclosed|expected"),
        ("", "missing required field `zones`"),
        (
            'zones = ["a"]\n[[instance]]\nname = "x"\nspec = {}',
            "x: not a kind that a cloud can offer",
        ),
        ('zones = ["a"]\n[[storage-sku]]\nname = "x"', r"\[\[storage-sku\]\] x: .*`spec`"),
        (
            'zones = ["a"]\n[[instance-sku]]\nname = "x"\nspec = { vCPU = 0, ram = 1 }',
            r"instance-sku x: Expected `int` >= 1 - at `\$\.vCPU`",
        ),
    ],
)
async def test_a_wrong_catalogue_is_refused_in_one_line(
    file: Path, tmp_path: Path, written: str, complaint: str
) -> None:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(written)
    with pytest.raises(ValueError, match=complaint) as refused:
        await serve(file, catalogue=catalogue)
    assert str(refused.value).startswith(f"{catalogue}: ")
    assert "\n" not in str(refused.value)


def test_a_duplicate_name_in_the_catalogue_is_refused(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.toml"
    for name in ("DS", "seca.ds"):
        sku = f'\n[[instance-sku]]\nname = "{name}"\nspec = {{ vCPU = 1, ram = 1 }}\n'
        catalogue.write_text(STANDARD.read_text() + sku)
        with pytest.raises(ValueError, match=rf"instance-sku {name}: duplicate name"):
            read(catalogue)


# --- its file


async def test_a_file_of_another_version_is_not_touched(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(file):
        pass
    monkeypatch.setattr("secaplane.plugins.simulated.state.VERSION", 4)
    with pytest.raises(ValueError, match="has version 3, not 4"):
        await serve(file)


async def test_two_clouds_cannot_have_one_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("secaplane.plugins.simulated.state.LOCKED_S_MAX", 0.01)
    async with running(file):
        with pytest.raises(ValueError, match="another process may have it open"):
            await serve(file)
