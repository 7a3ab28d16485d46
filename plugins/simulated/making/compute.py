"""Machines."""

from model.shape import Json
from plugins.simulated.making.making import check_sku, check_zone
from plugins.simulated.wire import Thing, Wish
from plugins.simulated.world import World


def instance(thing: Thing, wish: Wish, world: World) -> Json:
    check_sku(world, "instance-sku", wish.spec["skuRef"])
    check_zone(world, wish.spec["zone"])
    return {"powerState": wish.power or thing.power or "off"}
