"""Networks, subnets, NICs and public IPs: the choice of ranges and addresses.

What the desired state leaves open (`0.0.0.0/16`) is chosen once and kept until the desired state
changes.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from ipaddress import IPv4Network, IPv6Network

from secaplane.kinds.network.network import RangePlace, ranges_by_place
from secaplane.model.address import (
    FAMILIES,
    UNSPECIFIED,
    Network,
    automatic,
    contains,
    kept_choices,
    valid_address,
    valid_network,
    version,
)
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
    space,
)
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

CHOSEN_FROM = {
    4: ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    6: ("fd00::/8",),
}
"""RFC 1918 and the locally assigned half of RFC 4193."""
PREFIXES = {4: range(8, 29), 6: range(48, 65)}
"""Prefix lengths of a network whose range the cloud chooses."""
PREFIX_MAX = {4: 30, 6: 126}
"""Longer prefixes leave a subnet without an address to choose."""
PUBLIC: dict[str, Network] = {
    "IPv4": IPv4Network("198.18.0.0/15"),
    "IPv6": IPv6Network("2001:db8::/32"),
}
"""Ranges reserved for benchmarks and documentation (RFC 2544, RFC 3849)."""
PUBLIC_SPACE = "public"
MAC_SPACE = "mac"
MAC_FIRST = 0x025E_0000_0000
"""A locally administered prefix; the last four bytes identify the NIC."""
MAC_TRIES_MAX = 100

Cidrs = dict[RangePlace, str]


def network(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "network-sku", desired.spec["skuRef"])
    desired_cidrs = ranges_by_place(desired.spec)
    known = kept_choices(desired_cidrs, ranges_by_place(thing.spec), ranges_by_place(thing.status))
    known = {place: text for place, text in known.items() if not _overlaps(place, known, desired)}
    where = _workspace(thing)
    for place, text in desired_cidrs.items():
        if place not in known:
            chosen = [held_range(where, each) for each in known.values()]
            known[place] = _private(text, thing, world, chosen)
    cidr, *more = _with_choices(desired.spec, known)
    return {"cidr": cidr, "additionalCidrs": more}


def _overlaps(place: RangePlace, known: Cidrs, desired: DesiredObject) -> bool:
    """True for an earlier choice that overlaps a range that the desired state gives."""
    desired_cidrs = ranges_by_place(desired.spec)
    if not automatic(desired_cidrs[place]):
        return False
    choice = valid_network(known[place])
    fixed = (valid_network(text) for text in desired_cidrs.values() if not automatic(text))
    return any(choice.version == each.version and choice.overlaps(each) for each in fixed)


def network_holds(thing: CloudObject) -> Iterator[HeldRange]:
    for text in ranges_by_place(thing.status).values():
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
        yield held_range(thing.parents.get("network", ""), text)


def public_ip(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    family, own = desired.spec["version"], desired.spec.get("address")
    if own:
        if f"IPv{version(own)}" != family:
            raise ProvisionRefused("AddressFamily", f"{own} is no {family} address")
        return {"ipAddress": own}
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
            if world.target(desired, f"/publicIpRefs/{n}") is not None
        ],
    }


def nic_holds(thing: CloudObject) -> Iterator[HeldRange]:
    number = int(thing.status["macAddress"].replace(":", ""), 16)
    yield HeldRange(MAC_SPACE, number, number)
    for text in thing.status["addresses"]:
        yield held_address(thing.targets.get("/subnetRef", ""), text)


# --- ranges


def _with_choices(spec: Json, known: Cidrs) -> list[Json]:
    several = (spec["cidr"], *spec.get("additionalCidrs", ()))
    return [{family: known[n, family] for family in each} for n, each in enumerate(several)]


def _workspace(thing: CloudObject) -> str:
    """The scope in which chosen ranges differ: networks are private, but two networks of one
    workspace may be joined. RFC 1918 has room for 273 networks of /16."""
    return "/".join(thing.path.split("/")[:4])


def _private(text: str, thing: CloudObject, world: CloudView, chosen: list[HeldRange]) -> str:
    size = valid_network(text)
    allowed = PREFIXES[size.version]
    if size.prefixlen not in allowed:
        limits = f"/{allowed[0]} to /{allowed[-1]}"
        raise ProvisionRefused("CidrSize", f"an automatic CIDR must be {limits}, not {text}")
    cidr = _free_part(_workspace(thing), CHOSEN_FROM[size.version], size, thing, world, chosen)
    if cidr is None:
        raise ProvisionRefused("CidrsUsedUp", f"no /{size.prefixlen} is free in the workspace")
    return cidr


def _free_part(
    where: str,
    ranges: Iterable[str],
    size: Network,
    thing: CloudObject,
    world: CloudView,
    chosen: list[HeldRange],
) -> str | None:
    """The first free part of the ranges with this size, as a CIDR."""
    for each in ranges:
        if valid_network(each).prefixlen <= size.prefixlen:
            first = world.free(
                held_range(where, each), uid=thing.uid, size=size.num_addresses, besides=chosen
            )
            if first is not None:
                return f"{address_text(first, size.version)}/{size.prefixlen}"
    return None


def _subnet_cidr(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    cidrs: dict[str, str] = desired.spec["cidr"]
    if not cidrs:
        return {}
    parent = world.existing(desired.parents.get("network"))
    if parent is None:
        raise ProvisionPending("the network of the subnet does not exist yet")
    ranges = [valid_network(text) for text in ranges_by_place(parent.status).values()]
    former = {f: text for f, text in thing.status.get("cidr", {}).items() if _inside(text, ranges)}
    known = kept_choices(cidrs, thing.spec["cidr"], former)
    for family, text in known.items():
        if not _inside(text, ranges):
            existing = ", ".join(map(str, ranges)) or "no range"
            raise ProvisionRefused(
                "CidrOutside", f"{family} {text} is outside of the network, which has {existing}"
            )
    for family, text in cidrs.items():
        if family not in known:
            known[family] = _subnet_part(text, parent.uid, ranges, thing, world)
    return {family: known[family] for family in cidrs}


def _subnet_part(
    text: str, network_uid: str, ranges: list[Network], thing: CloudObject, world: CloudView
) -> str:
    size = valid_network(text)
    ranges = [each for each in ranges if each.version == size.version]
    if not ranges:
        raise ProvisionRefused("NoRange", f"the network has no IPv{size.version} range")
    shortest, longest = min(each.prefixlen for each in ranges), PREFIX_MAX[size.version]
    if not shortest <= size.prefixlen <= longest:
        raise ProvisionRefused("CidrSize", f"{text} is not between /{shortest} and /{longest}")
    cidr = _free_part(network_uid, map(str, ranges), size, thing, world, [])
    if cidr is None:
        raise ProvisionRefused("CidrsUsedUp", f"no /{size.prefixlen} is free in the network")
    return cidr


def _inside(text: str, ranges: list[Network]) -> bool:
    cidr = valid_network(text)
    return any(contains(each, cidr) for each in ranges)


# --- addresses


def _addresses(thing: CloudObject, desired: DesiredObject, world: CloudView) -> list[str]:
    subnet = world.target(desired, "/subnetRef")
    former = _former_choices(thing, desired, subnet)
    texts = _desired_addresses(desired.spec, subnet)
    known = kept_choices(texts, _former_addresses(thing, former), former)
    for n, text in texts.items():
        if n not in known:
            if subnet is None:
                raise ProvisionPending("the subnet of the NIC does not exist yet")
            chosen = [held_address(subnet.uid, each) for each in known.values()]
            known[n] = _address(text, subnet, thing, world, chosen)
    return [known[n] for n in texts]


def _desired_addresses(spec: Json, subnet: CloudObject | None) -> dict[int, str]:
    """Without addresses, an automatic one for each family of the subnet."""
    if "addresses" in spec:
        return dict(enumerate(spec["addresses"]))
    if subnet is None:
        raise ProvisionPending("the subnet of the NIC does not exist yet")
    families = [FAMILIES[name] for name in FAMILIES if name in subnet.status["cidr"]]
    return dict(enumerate(UNSPECIFIED[family] for family in families))


def _former_addresses(thing: CloudObject, former: dict[int, str]) -> dict[int, str]:
    """The former spec; where it gave no addresses, each was automatic."""
    if "addresses" in thing.spec:
        return dict(enumerate(thing.spec["addresses"]))
    return {n: UNSPECIFIED[valid_address(text).version] for n, text in former.items()}


def _former_choices(
    thing: CloudObject, desired: DesiredObject, subnet: CloudObject | None
) -> dict[int, str]:
    """Addresses are kept while the NIC stays in its subnet. If the ranges of the subnet changed,
    the addresses outside of them are kept until the NIC changes, too."""
    former = dict(enumerate(thing.status.get("addresses", ())))
    if subnet is None:
        return former
    if thing.targets.get("/subnetRef") not in (None, subnet.uid):
        return {}
    if desired.spec == thing.spec:
        return former
    ranges = _ranges(subnet)
    return {n: a for n, a in former.items() if any(valid_address(a) in each for each in ranges)}


def _ranges(subnet: CloudObject) -> list[Network]:
    return [valid_network(text) for text in subnet.status["cidr"].values()]


def _address(
    text: str, subnet: CloudObject, thing: CloudObject, world: CloudView, chosen: list[HeldRange]
) -> str:
    family = version(text)
    ranges = [each for each in _ranges(subnet) if each.version == family]
    if not ranges:
        raise ProvisionRefused("NoRange", f"the subnet has no IPv{family} range")
    return _host(subnet.uid, ranges, thing, world, chosen, from_=2)


def _host(
    where: str,
    ranges: list[Network],
    thing: CloudObject,
    world: CloudView,
    chosen: list[HeldRange],
    *,
    from_: int,
) -> str:
    """The first free address; the first `from_` addresses of a range and its last are never
    used."""
    for each in ranges:
        inside = HeldRange(
            space(where, each.version),
            int(each.network_address) + from_,
            int(each.broadcast_address) - 1,
        )
        if (number := world.free(inside, uid=thing.uid, besides=chosen)) is not None:
            return address_text(number, each.version)
    searched = ", ".join(map(str, ranges))
    raise ProvisionRefused("AddressesUsedUp", f"all addresses of {searched} are in use")


def _mac(thing: CloudObject, world: CloudView) -> str:
    """Derived from the uid, so that a released address is not reused at once."""
    for n in range(MAC_TRIES_MAX):
        drawn = sha256(f"{thing.uid} {n}".encode()).digest()[:4]
        number = MAC_FIRST + int.from_bytes(drawn)
        if world.free(HeldRange(MAC_SPACE, number, number), uid=thing.uid) is not None:
            return number.to_bytes(6).hex(":")
    raise ProvisionRefused("AddressesUsedUp", f"no free MAC address after {MAC_TRIES_MAX} attempts")
