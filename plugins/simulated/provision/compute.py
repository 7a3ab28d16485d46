"""Instances."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import check_sku, check_zone
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView


def instance(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    check_sku(world, "instance-sku", desired.spec["skuRef"])
    check_zone(world, desired.spec["zone"])
    return {"powerState": desired.power or thing.power or "off"}
