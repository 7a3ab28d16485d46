"""Machines."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import check_sku, check_zone
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World


def instance(thing: Thing, wish: Wish, world: World) -> Json:
    check_sku(world, "instance-sku", wish.spec["skuRef"])
    check_zone(world, wish.spec["zone"])
    return {"powerState": wish.power or thing.power or "off"}
