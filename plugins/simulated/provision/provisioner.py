"""Provisioner: the two functions that the simulated cloud has for a kind, and their failures."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from secaplane.model.shape import Json
from secaplane.plugins.simulated.ranges import HeldRange
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

Provision = Callable[[CloudObject, DesiredObject, CloudView], Json]
"""(the thing as it was, with an empty status if it is new; its desired state; the rest of the
cloud) -> its status. Reserves nothing: `holds` names what the thing reserves."""
Holds = Callable[[CloudObject], Iterable[HeldRange]]
"""(the thing) -> the ranges of addresses that it reserves until it is removed."""


class ProvisionRefused(Exception):
    """The desired state cannot be provisioned, and a retry cannot help. The change is rolled
    back."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class ProvisionPending(Exception):
    """A thing that this one depends on does not exist yet; a retry helps once it does."""


class Provisioner(NamedTuple):
    """A kind's entry: desired state -> status, and thing -> reserved ranges."""

    make: Provision
    holds: Holds = lambda thing: ()


def nothing(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    return {}


NOTHING = Provisioner(nothing)


def check_sku(world: CloudView, kind: str, reference: Json | None) -> None:
    """Checks the name at the end of the reference: the catalogue is the same for all tenants."""
    if reference is None:
        return
    name = reference["resource"].rpartition("/")[2]
    if not world.catalogue.has(kind, name):
        raise ProvisionRefused("SkuUnknown", f"the catalogue has no {kind} {name}")


def check_zone(world: CloudView, zone: str) -> None:
    zones = world.catalogue.zones
    if zone not in zones:
        raise ProvisionRefused("ZoneUnknown", f"unknown zone {zone}; zones are {', '.join(zones)}")
