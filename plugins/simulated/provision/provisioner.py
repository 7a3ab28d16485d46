"""What every making is, and the ways in which a cloud says no, or not yet."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from secaplane.model.shape import Json
from secaplane.plugins.simulated.ranges import HeldRange
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

Provision = Callable[[CloudObject, DesiredObject, CloudView], Json]
"""(the thing as it was, with an empty status if it is new; what it shall be; what else there is)
-> its status. It only looks: what it takes for itself, `holds` says."""
Holds = Callable[[CloudObject], Iterable[HeldRange]]
"""The numbers that a thing, as it is now, has for itself until it goes."""


class ProvisionRefused(Exception):
    """This cloud will not, and asking again cannot help; what was begun for it is undone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ProvisionPending(Exception):
    """What it takes its share of was never asked for here; asking again will help once it was."""


class Provisioner(NamedTuple):
    """A kind's row: from wish to status, and what of that nobody else can have."""

    make: Provision
    holds: Holds = lambda thing: ()


def nothing(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    return {}


NOTHING = Provisioner(nothing)


def check_sku(world: CloudView, kind: str, reference: Json | None) -> None:
    """By the name at its end. Whose it is does not matter: a cloud has one list."""
    if reference is None:
        return
    name = reference["resource"].rpartition("/")[2]
    if not world.catalogue.has(kind, name):
        sort = kind.removesuffix("-sku").replace("-", " ")
        raise ProvisionRefused("SkuUnknown", f"there is no {sort} SKU {name} here")


def check_zone(world: CloudView, zone: str) -> None:
    zones = world.catalogue.zones
    if zone not in zones:
        there = ", ".join(zones)
        raise ProvisionRefused("ZoneUnknown", f"there is no zone {zone} here; there are {there}")
