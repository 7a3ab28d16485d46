"""What a wish makes of each kind of thing: one pure function for each, and one row that names it.

A kind without a row is made of nothing and settles at once, so a new one works here before anybody
says how. `thing` is the thing as it was, with an empty status if it is new, but already with the
address that its row's pool gave it.
"""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import NamedTuple

from model.shape import Json, PowerState
from plugins.simulated.catalogue import Catalogue
from plugins.simulated.wire import Thing, Wish

POWER_AFTER: dict[str, PowerState] = {"start": "on", "stop": "off", "restart": "on"}


class Pool(NamedTuple):
    """Addresses to hand out: as many as `size`, the first of them next after `base`."""

    name: str
    base: IPv4Address
    size: int

    def allotted(self, number: int) -> dict[str, str]:
        """The MAC is locally administered and ends in the address: as unique as that."""
        address = self.base + number
        return {"address": str(address), "mac": f"02:5e:{address.packed.hex(':')}"}


INSIDE = Pool("inside", IPv4Address("10.0.0.0"), 2**24 - 2)

Make = Callable[[Thing, Wish, Catalogue], Json]


class Declined(Exception):
    """This cloud will not, and asking again cannot help; what was begun for it is undone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Making(NamedTuple):
    """A kind's row: from wish to status, and where its addresses come from, if it has any."""

    make: Make
    pool: Pool | None = None


def nothing(thing: Thing, wish: Wish, catalogue: Catalogue) -> Json:
    return {}


def block_storage(thing: Thing, wish: Wish, catalogue: Catalogue) -> Json:
    size, wanted = thing.status.get("sizeGB", 0), wish.spec["sizeGB"]
    if not catalogue.has("storage-sku", sku(wish)):
        raise Declined("SkuUnknown", f"there is no storage SKU {sku(wish)} here")
    if wanted < size:
        raise Declined("CannotShrink", f"it has {size} GB; ask for at least that")
    return {"sizeGB": wanted}


def instance(thing: Thing, wish: Wish, catalogue: Catalogue) -> Json:
    zone = wish.spec["zone"]
    if not catalogue.has("instance-sku", sku(wish)):
        raise Declined("SkuUnknown", f"there is no instance SKU {sku(wish)} here")
    if zone not in catalogue.zones:
        zones = ", ".join(catalogue.zones)
        raise Declined("ZoneUnknown", f"there is no zone {zone} here; there are {zones}")
    return {"powerState": wish.power or thing.status.get("powerState", "off")}


def sku(wish: Wish) -> str:
    """The name at the end of the reference. Whose it is does not matter: a cloud has one list."""
    name: str = wish.spec["skuRef"]["resource"].rpartition("/")[2]
    return name


NOTHING = Making(nothing)
MAKINGS = {
    "block-storage": Making(block_storage),
    "instance": Making(instance, INSIDE),
    "workspace": NOTHING,
}
