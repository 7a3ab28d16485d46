"""What every making is, and the ways in which a cloud says no, or not yet."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from secaplane.model.shape import Json
from secaplane.plugins.simulated.ranges import Held
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World

Make = Callable[[Thing, Wish, World], Json]
"""(the thing as it was, with an empty status if it is new; what it shall be; what else there is)
-> its status. It only looks: what it takes for itself, `holds` says."""
Holds = Callable[[Thing], Iterable[Held]]
"""The numbers that a thing, as it is now, has for itself until it goes."""


class Declined(Exception):
    """This cloud will not, and asking again cannot help; what was begun for it is undone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class NotYet(Exception):
    """What it takes its share of was never asked for here; asking again will help once it was."""


class Making(NamedTuple):
    """A kind's row: from wish to status, and what of that nobody else can have."""

    make: Make
    holds: Holds = lambda thing: ()


def nothing(thing: Thing, wish: Wish, world: World) -> Json:
    return {}


NOTHING = Making(nothing)


def check_sku(world: World, kind: str, reference: Json | None) -> None:
    """By the name at its end. Whose it is does not matter: a cloud has one list."""
    if reference is None:
        return
    name = reference["resource"].rpartition("/")[2]
    if not world.catalogue.has(kind, name):
        sort = kind.removesuffix("-sku").replace("-", " ")
        raise Declined("SkuUnknown", f"there is no {sort} SKU {name} here")


def check_zone(world: World, zone: str) -> None:
    zones = world.catalogue.zones
    if zone not in zones:
        there = ", ".join(zones)
        raise Declined("ZoneUnknown", f"there is no zone {zone} here; there are {there}")
