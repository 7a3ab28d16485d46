"""Volumes, and the images that are copies of them."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import Declined, check_sku
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World

MB_PER_GB = 1024


def block_storage(thing: Thing, wish: Wish, world: World) -> Json:
    size, wanted = thing.status.get("sizeGB", 0), wish.spec["sizeGB"]
    check_sku(world, "storage-sku", wish.spec["skuRef"])
    if wanted < size:
        raise Declined("CannotShrink", f"it has {size} GB; ask for at least that")
    return {"sizeGB": wanted}


def image(thing: Thing, wish: Wish, world: World) -> Json:
    """A copy once it is taken: what becomes of the volume is nothing to it."""
    if "sizeMB" in thing.status:
        return {"sizeMB": thing.status["sizeMB"]}
    volume = world.bound(wish, "/blockStorageRef")
    return {} if volume is None else {"sizeMB": volume.status["sizeGB"] * MB_PER_GB}
