"""The simulated cloud, over its real wire and on its real file, as reconcilers use it."""

import asyncio
import signal
import sys
from ipaddress import IPv4Address
from pathlib import Path

import aiohttp
import msgspec
import pytest

from kinds import KINDS
from model.shape import Json, Position
from plugins import Refused, Settled
from plugins.simulated import making
from plugins.simulated.catalogue import STANDARD, read
from plugins.simulated.making import Making, Pool
from plugins.simulated.wire import Counts
from tests.flows.simulated_site import IN_ZONE_A, LARGE, OFF, ON, SMALL, Site, a, running, serve


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cloud.db"


# --- once


async def test_what_is_asked_for_often_is_made_once(file: Path) -> None:
    volumes = [a("block-storage", SMALL, uid=f"u{n}") for n in range(8)]
    async with running(file) as site:
        outcomes = await asyncio.gather(*map(site.plugin.ensure, volumes * 4))
        counts = await site.counts()
    assert outcomes == [Settled({"sizeGB": 10})] * 32
    assert counts.creates == {volume.uid: 1 for volume in volumes}
    assert counts.totals == {"block-storage": {"creates": 8, "removes": 0, "actions": 0}}


async def test_a_cloud_that_starts_again_has_what_it_had(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.ensure(a("instance", IN_ZONE_A))
        await site.plugin.act(a("instance", IN_ZONE_A), "start", Position(5))
        before = await site.things()
    async with running(file) as site:
        assert await site.plugin.ensure(a("instance", IN_ZONE_A, power="on")) == ON
        assert await site.things() == before
        assert (await site.counts()).creates == {"u1": 1}


async def test_a_cloud_that_is_killed_has_what_it_had_answered(file: Path) -> None:
    start = (
        "import asyncio, sys; from pathlib import Path; from plugins.simulated.server import run;"
        "asyncio.run(run(host='127.0.0.1', port=0, file=Path(sys.argv[1]), catalogue=None,"
        " region='eu-1', faults=None, announce=lambda port: print(port, flush=True)))"
    )
    cloud = await asyncio.create_subprocess_exec(
        sys.executable, "-c", start, str(file), stdout=asyncio.subprocess.PIPE
    )
    assert cloud.stdout is not None
    async with asyncio.timeout(20):
        site = Site(int(await cloud.stdout.readline()))
        await site.plugin.ensure(a("block-storage", SMALL))
        cloud.send_signal(signal.SIGKILL)
        await cloud.communicate()
    with pytest.raises(aiohttp.ClientError):
        await site.plugin.ensure(a("block-storage", SMALL))
    await site.plugin.close()
    async with running(file) as site:
        assert [thing.uid for thing in await site.things()] == ["u1"]


async def test_what_never_was_is_gone_already(file: Path) -> None:
    async with running(file) as site:
        assert await site.plugin.remove(a("workspace", {})) == Settled()
        assert await site.counts() == Counts({}, {}, {}, {})


async def test_what_is_removed_often_is_removed_once(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.ensure(a("workspace", {}))
        assert await site.plugin.remove(a("workspace", {})) == Settled()
        assert await site.plugin.remove(a("workspace", {})) == Settled()
        assert await site.things() == []
        assert (await site.counts()).removes == {"u1": 1}


async def test_a_kind_of_which_nothing_is_said_settles_at_once(file: Path) -> None:
    async with running(file) as site:
        assert await site.plugin.ensure(a("weather-machine", {"rain": True})) == Settled()
        assert (await site.counts()).totals["weather-machine"]["creates"] == 1


async def test_a_uid_may_be_spelled_with_any_sign(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.ensure(a("workspace", {}, uid="a/b c?d%2F"))
        assert [thing.uid for thing in await site.things()] == ["a/b c?d%2F"]


# --- power


async def test_an_action_is_done_once_for_each_key(file: Path) -> None:
    instance = a("instance", IN_ZONE_A)
    async with running(file) as site:
        assert await site.plugin.ensure(instance) == OFF
        assert await site.plugin.act(instance, "start", Position(5)) == ON
        assert await site.plugin.act(instance, "start", Position(5)) == ON
        assert await site.plugin.act(instance, "restart", Position(6)) == ON
        assert await site.plugin.act(instance, "stop", Position(7)) == OFF
        assert (await site.counts()).actions == {"u1": 3}
    async with running(file) as site:
        assert await site.plugin.act(instance, "start", Position(5)) == OFF
        assert (await site.counts()).actions == {"u1": 3}


async def test_an_action_that_was_overtaken_is_not_obeyed(file: Path) -> None:
    instance = a("instance", IN_ZONE_A)
    async with running(file) as site:
        await site.plugin.act(instance, "stop", Position(7))
        assert await site.plugin.act(instance, "start", Position(5)) == OFF


async def test_an_instance_made_anew_gets_the_power_it_shall_have(file: Path) -> None:
    async with running(file) as site:
        assert await site.plugin.ensure(a("instance", IN_ZONE_A, power="on")) == ON


async def test_an_unknown_action_is_refused(file: Path) -> None:
    async with running(file) as site:
        outcome = await site.plugin.act(a("instance", IN_ZONE_A), "fly", Position(5))
        assert outcome == Refused("ActionUnknown", "nothing here can fly")
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
async def test_nothing_is_left_of_what_is_refused(
    file: Path, kind: str, spec: Json, reason: str
) -> None:
    async with running(file) as site:
        outcome = await site.plugin.ensure(a(kind, spec))
        assert isinstance(outcome, Refused)
        assert outcome.reason == reason
        assert await site.things() == []
        await site.plugin.ensure(a("instance", IN_ZONE_A))
        assert await site.addresses() == {"10.0.0.1"}


async def test_a_volume_grows_and_does_not_shrink(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.ensure(a("block-storage", SMALL))
        assert await site.plugin.ensure(a("block-storage", LARGE)) == Settled({"sizeGB": 20})
        refused = await site.plugin.ensure(a("block-storage", SMALL))
        assert refused == Refused("CannotShrink", "it has 20 GB; ask for at least that")
        assert [thing.spec for thing in await site.things()] == [LARGE]


async def test_a_cloud_refuses_what_it_is_told_to(file: Path) -> None:
    no = {"kind": "workspace", "name": "bad-*", "reason": "Forbidden", "message": "not here"}
    async with running(file, faults={"refuse": [no]}) as site:
        refused = await site.plugin.ensure(a("workspace", {}, uid="bad-1"))
        assert refused == Refused("Forbidden", "not here")
        assert await site.plugin.ensure(a("workspace", {}, uid="good")) == Settled()
        assert await site.plugin.ensure(a("network", {}, uid="bad-1")) == Settled()


# --- addresses


async def test_no_address_is_handed_out_twice_while_it_is_held(file: Path) -> None:
    machines = [a("instance", IN_ZONE_A, uid=f"u{n}") for n in range(20)]
    async with running(file) as site:
        await asyncio.gather(*map(site.plugin.ensure, machines[:10]))
        await asyncio.gather(*map(site.plugin.remove, machines[:5]))
    async with running(file) as site:
        await asyncio.gather(*map(site.plugin.ensure, machines[10:]))
        things = await site.things()
        assert len({thing.allotted["address"] for thing in things}) == 15
        assert len({thing.allotted["mac"] for thing in things}) == 15


async def test_an_address_stays_with_its_holder_and_is_free_when_it_goes(file: Path) -> None:
    async with running(file) as site:
        await site.plugin.ensure(a("instance", IN_ZONE_A, uid="first"))
        await site.plugin.ensure(a("instance", IN_ZONE_A, uid="first", power="on"))
        assert await site.addresses() == {"10.0.0.1"}
        await site.plugin.remove(a("instance", IN_ZONE_A, uid="first"))
        await site.plugin.ensure(a("instance", IN_ZONE_A, uid="second"))
        assert await site.addresses() == {"10.0.0.1"}


async def test_an_instance_is_refused_when_all_addresses_are_taken(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrow = Making(making.instance, Pool("inside", IPv4Address("10.0.0.0"), 1))
    monkeypatch.setitem(making.MAKINGS, "instance", narrow)
    async with running(file) as site:
        assert await site.plugin.ensure(a("instance", IN_ZONE_A)) == OFF
        refused = await site.plugin.ensure(a("instance", IN_ZONE_A, uid="u2"))
        assert refused == Refused("AddressesUsedUp", "all 1 addresses are taken")


# --- on offer


async def test_the_region_and_the_standard_skus_are_on_offer(file: Path) -> None:
    async with running(file) as site:
        region, *skus = await site.plugin.offers()
    assert (region.kind, region.name) == ("region", "eu-1")
    assert region.spec == {"availableZones": ["a", "b", "c"], "providers": []}
    assert sorted({sku.kind for sku in skus}) == ["instance-sku", "storage-sku"]
    assert len({(sku.kind, sku.name) for sku in skus}) == 17 + 15
    for sku in skus:
        msgspec.convert(sku.spec, KINDS[sku.kind].spec)
        assert sku.labels["tier"].lower() == sku.name.removeprefix("seca.")


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("zones = [", "cannot|Invalid|Unclosed|expected"),
        ("", "missing required field `zones`"),
        ('zones = ["a"]\n[[instance]]\nname = "x"', r"\[\[instance\]\] is no kind"),
        ('zones = ["a"]\n[[storage-sku]]\nname = "x"', r"\[\[storage-sku\]\] x: .*`spec`"),
        (
            'zones = ["a"]\n[[instance-sku]]\nname = "x"\nspec = { vCPU = 0, ram = 1 }',
            r"\[\[instance-sku\]\] x: Expected `int` >= 1 - at `\$\.vCPU`",
        ),
    ],
)
async def test_a_wrong_catalogue_is_told_in_one_line(
    file: Path, tmp_path: Path, written: str, complaint: str
) -> None:
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(written)
    with pytest.raises(ValueError, match=complaint) as told:
        await serve(file, catalogue=catalogue)
    assert str(told.value).startswith(f"{catalogue}: ")
    assert "\n" not in str(told.value)


def test_a_name_twice_in_the_catalogue_is_refused(tmp_path: Path) -> None:
    catalogue = tmp_path / "catalogue.toml"
    sku = '\n[[instance-sku]]\nname = "seca.ds"\nspec = { vCPU = 1, ram = 1 }\n'
    catalogue.write_text(STANDARD.read_text() + sku)
    with pytest.raises(ValueError, match=r"\] seca.ds: there are two of that name"):
        read(catalogue)


# --- its file


async def test_a_file_of_another_version_is_not_touched(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(file):
        pass
    monkeypatch.setattr("plugins.simulated.state.VERSION", 2)
    with pytest.raises(ValueError, match="has version 1, not 2"):
        await serve(file)


async def test_two_clouds_cannot_have_one_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plugins.simulated.state.LOCKED_S_MAX", 0.01)
    async with running(file):
        with pytest.raises(ValueError, match="another process has it"):
            await serve(file)
