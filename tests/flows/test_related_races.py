"""Races between writes that exclude each other, through two processes: at most one of each pair
stays, and what is active never breaks a rule between resources."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import ip_address, ip_network

from secaplane.model.shape import Json
from tests.flows.client import Answer, Client, at
from tests.flows.crashing import Scene

PAIRS = 12
HEAD_STARTS_S = (0.0, 0.0005, 0.001, 0.002)
REFUSED = {409, 422}
VOLUME = {"sizeGB": 1, "skuRef": {"resource": "skus/seca.rd100"}}
SIZED: Json = {"skuRef": {"resource": "skus/seca.n1k"}}
MAIN, MORE = {"ipv4": "10.0.0.0/16"}, {"ipv4": "10.1.0.0/16"}
ROUTE = {"destinationCidrBlock": "0.0.0.0/0", "targetRef": {"resource": "10.0.0.1"}}
Write = Callable[[], Awaitable[Answer]]


async def raced(n: int, one: Write, other: Write) -> tuple[int, int]:
    """Both writes at once; by turns, one of them has a head start."""
    head_start_s = HEAD_STARTS_S[n // 2 % len(HEAD_STARTS_S)]

    async def after(seconds: float, write: Write) -> int:
        await asyncio.sleep(seconds)
        return (await write()).status

    waits = (head_start_s, 0.0) if n % 2 else (0.0, head_start_s)
    first, second = await asyncio.gather(after(waits[0], one), after(waits[1], other))
    return first, second


def machine(boot: str, *data: str) -> Json:
    def volume(name: str) -> Json:
        return {"deviceRef": {"resource": f"block-storages/{name}"}}

    spec: Json = {"skuRef": {"resource": "skus/seca.dxs"}, "zone": "a", "bootVolume": volume(boot)}
    return {"spec": spec | {"dataVolumes": [volume(name) for name in data]}}


async def test_writes_that_exclude_each_other_never_both_stay(scene: Scene) -> None:
    """One plane for all scenes: they are the pairs of rules that two kinds share."""
    async with scene.another_serve() as other:
        here, place = scene.client, "raced"
        await here.made(at("workspace", place), {})
        outcomes = await asyncio.gather(
            *(added_reference(here, other, place, n) for n in range(PAIRS)),
            *(shared_volume(here, other, place, n) for n in range(PAIRS)),
            *(lost_range(here, other, place, n) for n in range(PAIRS)),
            *(moved_subnet(here, other, place, n) for n in range(PAIRS)),
        )
        assert all(REFUSED & set(pair) for pair in outcomes), Counter(outcomes)
        await scene.at_rest()
        for n in range(PAIRS):
            await keeps_what_it_refers_to(here, place, n)
            await has_one_owner(here, place, n)
            await is_in_its_network(here, place, n)
            await is_in_its_subnet(here, place, n)


# --- an update adds a reference, and its target is deleted


async def added_reference(here: Client, other: Client, place: str, n: int) -> tuple[int, int]:
    boot, disk = (at("block-storage", f"{x}{n}", workspace=place) for x in ("boot", "disk"))
    vm = at("instance", f"vm{n}", workspace=place)
    for path in (boot, disk):
        await here.made(path, {"spec": VOLUME})
    await here.made(vm, machine(f"boot{n}"))
    use = machine(f"boot{n}", f"disk{n}")
    return await raced(n, lambda: here.put(vm, use), lambda: other.delete(disk))


async def keeps_what_it_refers_to(here: Client, place: str, n: int) -> None:
    vm = await here.get(at("instance", f"vm{n}", workspace=place))
    disk = await here.get(at("block-storage", f"disk{n}", workspace=place))
    assert bool(vm.json["spec"]["dataVolumes"]) is (disk.status == 200)


# --- two instances take one data volume


async def shared_volume(here: Client, other: Client, place: str, n: int) -> tuple[int, int]:
    names = [f"{x}{n}" for x in ("left", "right", "shared")]
    for name in names:
        await here.made(at("block-storage", name, workspace=place), {"spec": VOLUME})
    left, right = (at("instance", name, workspace=place) for name in names[:2])
    await here.made(left, machine(names[0]))
    return await raced(
        n,
        lambda: here.put(left, machine(names[0], names[2])),
        lambda: other.put(right, machine(names[1], names[2])),
    )


async def has_one_owner(here: Client, place: str, n: int) -> None:
    owners = [await here.get(at("instance", f"{x}{n}", workspace=place)) for x in ("left", "right")]
    having = [each for each in owners if each.status == 200 and each.json["spec"]["dataVolumes"]]
    assert len(having) <= 1


# --- a network loses a range, and a subnet is made in it


async def networked(here: Client, place: str, name: str) -> None:
    ids = {"workspace": place, "network": name}
    spec = SIZED | {"cidr": MAIN, "additionalCidrs": [MORE]}
    await here.made(at("network", name, workspace=place), {"spec": spec})
    await here.made(at("routing-table", "t", **ids), {"spec": {"routes": [ROUTE]}})


def subnet(cidr: str) -> Json:
    table = {"resource": "route-tables/t"}
    return {"spec": {"cidr": {"ipv4": cidr}, "zone": "a", "routeTableRef": table}}


async def lost_range(here: Client, other: Client, place: str, n: int) -> tuple[int, int]:
    await networked(here, place, f"lost{n}")
    network = at("network", f"lost{n}", workspace=place)
    inside = at("subnet", "s", workspace=place, network=f"lost{n}")
    return await raced(
        n,
        lambda: here.put(network, {"spec": SIZED | {"cidr": MAIN}}),
        lambda: other.put(inside, subnet("10.1.1.0/24")),
    )


async def is_in_its_network(here: Client, place: str, n: int) -> None:
    network = await here.get(at("network", f"lost{n}", workspace=place))
    inside = await here.get(at("subnet", "s", workspace=place, network=f"lost{n}"))
    assert bool(network.json["status"]["additionalCidrs"]) or inside.status == 404


# --- a subnet moves, and a NIC gets an address in its old range


async def moved_subnet(here: Client, other: Client, place: str, n: int) -> tuple[int, int]:
    await networked(here, place, f"moved{n}")
    path = at("subnet", "s", workspace=place, network=f"moved{n}")
    await here.made(path, subnet("10.0.1.0/24"))
    reference = {"resource": f"networks/moved{n}/subnets/s"}
    nic = {"spec": {"subnetRef": reference, "addresses": ["10.0.1.7"]}}
    return await raced(
        n,
        lambda: here.put(path, subnet("10.0.2.0/24")),
        lambda: other.put(at("nic", f"nic{n}", workspace=place), nic),
    )


async def is_in_its_subnet(here: Client, place: str, n: int) -> None:
    found = await here.get(at("subnet", "s", workspace=place, network=f"moved{n}"))
    nic = await here.get(at("nic", f"nic{n}", workspace=place))
    if nic.status == 200:
        cidr = ip_network(found.json["status"]["cidr"]["ipv4"])
        assert ip_address(nic.json["status"]["addresses"][0]) in cidr


# --- what shows later


async def test_what_was_not_known_at_the_put_is_an_error_once_it_is_known(scene: Scene) -> None:
    """A fixed address in a range that the cloud has yet to choose; a gateway whose NIC gets a
    public IP, and loses it."""
    here, place = scene.client, "later"
    ids = {"workspace": place, "network": "n"}
    await here.made(at("workspace", place), {})
    await networked(here, place, "n")
    await scene.site.misbehave(delay_s=1.0)
    path = at("subnet", "s", **ids)
    assert (await here.put(path, subnet("0.0.0.0/24"))).status == 201
    reference = {"subnetRef": {"resource": "networks/n/subnets/s"}}
    outside = at("nic", "outside", workspace=place)
    spec = reference | {"addresses": ["10.0.77.7"]}
    assert (await here.put(outside, {"spec": spec})).status == 201
    await scene.site.misbehave()
    shown = await here.until(outside, lambda each: each.state == "error")
    assert shown.json["status"]["conditions"][0]["reason"] == "RuleBroken"
    nic, address = (at(kind, "x", workspace=place) for kind in ("nic", "public-ip"))
    await here.made(nic, {"spec": reference})
    await here.made(address, {"spec": {"version": "IPv4"}})
    gateway = at("nat-gateway-instance", "g", workspace=place)
    refs = {"nicRef": {"resource": "nics/x"}, "publicIpRef": {"resource": "public-ips/x"}}
    await here.made(gateway, {"spec": refs | {"zone": "a"}})
    exposed = reference | {"publicIpRefs": [{"resource": "public-ips/x"}]}
    await here.made(nic, {"spec": exposed})
    shown = await here.until(gateway, lambda each: each.state == "error")
    assert shown.json["status"]["conditions"][0]["reason"] == "NicHasPublicIp"
    await here.made(nic, {"spec": reference})
    shown = await here.until(gateway, lambda each: each.state == "active")
    assert shown.history[:2] == ["active", "error"]
