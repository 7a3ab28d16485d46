"""NAT gateways: no status of their own, but conditions on their NIC."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import ProvisionRefused, check_zone
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView


def nat_gateway(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    zone = desired.spec["zone"]
    check_zone(world, zone)
    nic = world.target(desired, "/nicRef")
    if nic is None:
        return {}
    subnet = world.existing(nic.targets.get("/subnetRef"))
    if subnet is not None and subnet.spec["zone"] != zone:
        other = subnet.spec["zone"]
        raise ProvisionRefused("ZoneMismatch", f"the NIC is in zone {other}; use one in {zone}")
    if nic.spec.get("publicIpRefs"):
        raise ProvisionRefused("NicHasPublicIp", "the NIC has public IPs; use one without")
    return {}
