"""Networks, their subnets, and who has which address.

What a wish leaves open is chosen once and stays, whatever becomes of the others, until the wish
asks for something else.
"""

from collections.abc import Iterator
from hashlib import sha256
from ipaddress import ip_address, ip_network

from secaplane.model.address import Network, version
from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import (
    ProvisionPending,
    ProvisionRefused,
    check_sku,
    check_zone,
)
from secaplane.plugins.simulated.ranges import (
    HeldRange,
    address_text,
    held_address,
    held_range,
    remembered,
    space,
)
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

PRIVATE = {
    4: [ip_network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")],
    6: [ip_network("fd00::/8")],
}
"""RFC 1918 and RFC 4193."""
PREFIXES = {4: range(8, 29), 6: range(48, 65)}
"""How long a network's prefix can be, where the cloud chooses the range."""
PREFIX_MAX = {4: 30, 6: 126}
"""A longer one leaves a subnet without an address to choose."""
PUBLIC = {"IPv4": ip_network("198.18.0.0/15"), "IPv6": ip_network("2001:db8::/32")}
"""For benchmarks and for documents: nobody's in truth."""
PUBLIC_SPACE = "public"
MAC_SPACE = "mac"
MAC_FIRST = 0x025E_0000_0000
"""Locally administered; four bytes are left for who is who."""
MAC_TRIES_MAX = 100

Cidrs = dict[tuple[int, str], str]
"""By place: which of several, and the family."""


def network(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "network-sku", desired.spec["skuRef"])
    wanted = _cidrs(desired.spec)
    known = remembered(wanted, _cidrs(thing.spec), _cidrs(thing.status))
    where = _workspace(thing)
    for place, text in wanted.items():
        if place not in known:
            chosen = [held_range(where, each) for each in known.values()]
            known[place] = _private(text, thing, world, chosen)
    cidr, *more = _spelled(desired.spec, known)
    return {"cidr": cidr, "additionalCidrs": more}


def network_holds(thing: CloudObject) -> Iterator[HeldRange]:
    for text in _cidrs(thing.status).values():
        yield held_range(_workspace(thing), text)


def subnet(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "network-sku", desired.spec.get("skuRef"))
    check_zone(world, desired.spec["zone"])
    cidr = thing.status.get("cidr")
    if cidr is None or desired.spec["cidr"] != thing.spec["cidr"]:
        cidr = _subnet_cidr(thing, desired, world)
    return {"cidr": cidr, "routeTableRef": desired.spec["routeTableRef"]}


def subnet_holds(thing: CloudObject) -> Iterator[HeldRange]:
    for text in thing.status["cidr"].values():
        yield held_range(thing.around.get("network", ""), text)


def public_ip(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    family, brought = desired.spec["version"], desired.spec.get("address")
    if brought:
        if f"IPv{version(brought)}" != family:
            raise ProvisionRefused("AddressFamily", f"{brought} is no {family} address")
        return {"ipAddress": brought}
    chosen_before = thing.spec["version"] == family and not thing.spec.get("address")
    if chosen_before and thing.status:
        return thing.status
    return {"ipAddress": _host(PUBLIC_SPACE, [PUBLIC[family]], thing, world, [], from_=1)}


def public_ip_holds(thing: CloudObject) -> Iterator[HeldRange]:
    yield held_address(PUBLIC_SPACE, thing.status["ipAddress"])


def nic(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "network-sku", desired.spec.get("skuRef"))
    return {
        "addresses": _addresses(thing, desired, world),
        "macAddress": thing.status.get("macAddress") or _mac(thing, world),
        "publicIpRefs": [
            reference
            for n, reference in enumerate(desired.spec.get("publicIpRefs", ()))
            if world.bound(desired, f"/publicIpRefs/{n}") is not None
        ],
    }


def nic_holds(thing: CloudObject) -> Iterator[HeldRange]:
    number = int(thing.status["macAddress"].replace(":", ""), 16)
    yield HeldRange(MAC_SPACE, number, number)
    for text in thing.status["addresses"]:
        yield held_address(thing.targets.get("/subnetRef", ""), text)


# --- ranges


def _cidrs(said: Json) -> Cidrs:
    """Of a network's spec or status; a status may be empty."""
    several = (said.get("cidr", {}), *said.get("additionalCidrs", ()))
    return {(n, family): text for n, each in enumerate(several) for family, text in each.items()}


def _spelled(spec: Json, known: Cidrs) -> list[Json]:
    several = (spec["cidr"], *spec.get("additionalCidrs", ()))
    return [{family: known[n, family] for family in each} for n, each in enumerate(several)]


def _workspace(thing: CloudObject) -> str:
    """Networks of others do not matter to one, for they are private; but who joins two networks of
    one workspace shall find two ranges. All of RFC 1918 is 273 times a /16."""
    return "/".join(thing.path.split("/")[:4])


def _private(text: str, thing: CloudObject, world: CloudView, chosen: list[HeldRange]) -> str:
    wanted = ip_network(text, strict=False)
    allowed = PREFIXES[wanted.version]
    if wanted.prefixlen not in allowed:
        here = f"/{allowed[0]} to /{allowed[-1]}"
        raise ProvisionRefused(
            "CidrSize", f"this cloud chooses {here}; {text} asks for something else"
        )
    found = _part(_workspace(thing), PRIVATE[wanted.version], wanted, thing, world, chosen)
    if found is None:
        raise ProvisionRefused("CidrsUsedUp", f"no /{wanted.prefixlen} is free in the workspace")
    return found


def _part(
    where: str,
    ranges: list[Network],
    wanted: Network,
    thing: CloudObject,
    world: CloudView,
    chosen: list[HeldRange],
) -> str | None:
    """The first part of the ranges that is of the wanted size and nobody's."""
    for each in ranges:
        if each.prefixlen <= wanted.prefixlen:
            found = world.free(
                held_range(where, each), uid=thing.uid, size=wanted.num_addresses, besides=chosen
            )
            if found is not None:
                return f"{address_text(found, wanted.version)}/{wanted.prefixlen}"
    return None


def _subnet_cidr(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    wanted: dict[str, str] = desired.spec["cidr"]
    if not wanted:
        return {}
    above = world.there(desired.around.get("network"))
    if above is None:
        raise ProvisionPending("the network of the subnet is not there")
    ranges = [ip_network(text, strict=False) for text in _cidrs(above.status).values()]
    former = {f: text for f, text in thing.status.get("cidr", {}).items() if _inside(text, ranges)}
    known = remembered(wanted, thing.spec["cidr"], former)
    for family, text in known.items():
        if not _inside(text, ranges):
            there = ", ".join(map(str, ranges)) or "nothing"
            raise ProvisionRefused(
                "CidrOutside", f"{family} {text} is not in the network, which has {there}"
            )
    for family, text in wanted.items():
        if family not in known:
            known[family] = _subnet_part(text, above.uid, ranges, thing, world)
    return {family: known[family] for family in wanted}


def _subnet_part(
    text: str, above: str, ranges: list[Network], thing: CloudObject, world: CloudView
) -> str:
    wanted = ip_network(text, strict=False)
    mine = [each for each in ranges if each.version == wanted.version]
    if not mine:
        raise ProvisionRefused(
            "NoRange", f"the network has no IPv{wanted.version} range to take from"
        )
    shortest, longest = min(each.prefixlen for each in mine), PREFIX_MAX[wanted.version]
    if not shortest <= wanted.prefixlen <= longest:
        raise ProvisionRefused("CidrSize", f"{text} is not between /{shortest} and /{longest}")
    found = _part(above, mine, wanted, thing, world, [])
    if found is None:
        raise ProvisionRefused("CidrsUsedUp", f"no /{wanted.prefixlen} is free in the network")
    return found


def _inside(text: str, ranges: list[Network]) -> bool:
    mine = ip_network(text, strict=False)
    return any(mine.network_address in each and mine.prefixlen >= each.prefixlen for each in ranges)


# --- addresses


def _addresses(thing: CloudObject, desired: DesiredObject, world: CloudView) -> list[str]:
    wanted = dict(enumerate(desired.spec["addresses"]))
    below = world.bound(desired, "/subnetRef")
    known = remembered(
        wanted, dict(enumerate(thing.spec["addresses"])), _chosen_before(thing, desired, below)
    )
    for n, text in wanted.items():
        if n not in known:
            if below is None:
                raise ProvisionPending("the subnet of the NIC is not there")
            chosen = [held_address(below.uid, each) for each in known.values()]
            known[n] = _address(text, below, thing, world, chosen)
    return [known[n] for n in wanted]


def _chosen_before(
    thing: CloudObject, desired: DesiredObject, below: CloudObject | None
) -> dict[int, str]:
    """They stay while the NIC stays in its subnet; and should that have been given other ranges
    meanwhile, until somebody changes the NIC."""
    former = dict(enumerate(thing.status.get("addresses", ())))
    if below is None:
        return former
    if thing.targets.get("/subnetRef") not in (None, below.uid):
        return {}
    if desired.spec == thing.spec:
        return former
    ranges = _ranges(below)
    return {n: a for n, a in former.items() if any(ip_address(a) in each for each in ranges)}


def _ranges(below: CloudObject) -> list[Network]:
    return [ip_network(text, strict=False) for text in below.status["cidr"].values()]


def _address(
    text: str, below: CloudObject, thing: CloudObject, world: CloudView, chosen: list[HeldRange]
) -> str:
    family = version(text)
    mine = [each for each in _ranges(below) if each.version == family]
    if not mine:
        raise ProvisionRefused("NoRange", f"the subnet has no IPv{family} range to take from")
    return _host(below.uid, mine, thing, world, chosen, from_=2)


def _host(
    where: str,
    ranges: list[Network],
    thing: CloudObject,
    world: CloudView,
    chosen: list[HeldRange],
    *,
    from_: int,
) -> str:
    """The first free one; the first of a range and its last are nobody's."""
    for each in ranges:
        inside = HeldRange(
            space(where, each.version),
            int(each.network_address) + from_,
            int(each.broadcast_address) - 1,
        )
        if (found := world.free(inside, uid=thing.uid, besides=chosen)) is not None:
            return address_text(found, each.version)
    there = ", ".join(map(str, ranges))
    raise ProvisionRefused("AddressesUsedUp", f"all addresses of {there} are taken")


def _mac(thing: CloudObject, world: CloudView) -> str:
    """Drawn by the uid: one that was given back does not come again at once."""
    for n in range(MAC_TRIES_MAX):
        drawn = sha256(f"{thing.uid} {n}".encode()).digest()[:4]
        number = MAC_FIRST + int.from_bytes(drawn)
        if world.free(HeldRange(MAC_SPACE, number, number), uid=thing.uid) is not None:
            return number.to_bytes(6).hex(":")
    raise ProvisionRefused("AddressesUsedUp", "no MAC address was found that is nobody's")
