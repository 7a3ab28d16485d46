"""NAT gateways: nothing of their own, but they are particular about their NIC."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import Declined, check_zone
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World


def nat_gateway(thing: Thing, wish: Wish, world: World) -> Json:
    zone = wish.spec["zone"]
    check_zone(world, zone)
    nic = world.bound(wish, "/nicRef")
    if nic is None:
        return {}
    subnet = world.there(nic.targets.get("/subnetRef"))
    if subnet is not None and subnet.spec["zone"] != zone:
        there = subnet.spec["zone"]
        raise Declined("ZoneMismatch", f"its NIC lies in zone {there}; take one in zone {zone}")
    if nic.spec.get("publicIpRefs"):
        raise Declined("NicHasPublicIp", "its NIC has public IPs; take one without")
    return {}
