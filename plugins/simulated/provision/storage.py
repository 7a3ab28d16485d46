"""Block storages, and images copied from them."""

from secaplane.model.shape import Json
from secaplane.plugins.simulated.provision.provisioner import ProvisionRefused, check_sku
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

MB_PER_GB = 1024


def block_storage(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    size, desired_size = thing.status.get("sizeGB", 0), desired.spec["sizeGB"]
    check_sku(world, "storage-sku", desired.spec["skuRef"])
    if desired_size < size:
        raise ProvisionRefused("CannotShrink", f"it has {size} GB and cannot shrink")
    return {"sizeGB": desired_size}


def image(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    """The copy is made once; later changes of the volume do not affect it."""
    if "sizeMB" in thing.status:
        return {"sizeMB": thing.status["sizeMB"]}
    volume = world.target(desired, "/blockStorageRef")
    return {} if volume is None else {"sizeMB": volume.status["sizeGB"] * MB_PER_GB}
