"""The table of what is offered of an OpenStack cloud, a TOML file (examples/openstack_offers.toml).

Cores and memory of an instance SKU are the flavor's. A volume type does not say how fast it is, so
the operator does.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from secaplane.kinds import sku_name
from secaplane.model.shape import Json, Labels, Zone
from secaplane.plugins.catalogue import validated_spec
from secaplane.plugins.plugin import CatalogueEntry


class _Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    name: str
    labels: Labels = {}


class InstanceOffer(_Offer, frozen=True, kw_only=True):
    flavor: str


class StorageOffer(_Offer, frozen=True, kw_only=True):
    volume_type: str
    spec: Json


class ImageOffer(_Offer, frozen=True, kw_only=True):
    image: str
    initializer: Literal["none", "cloudinit-22"] = "none"


class Offers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """The declared table."""

    zones: Mapping[Zone, str]
    """By zone of SECA: the availability zone."""
    instance_sku: tuple[InstanceOffer, ...] = ()
    storage_sku: tuple[StorageOffer, ...] = ()
    image: tuple[ImageOffer, ...] = ()

    def storage(self, name: str) -> StorageOffer | None:
        """The storage SKU of a name, or of an alias of it."""
        for each in self.storage_sku:
            if sku_name(each.name) == sku_name(name):
                return each
        return None

    def shared_image(self, name: str) -> ImageOffer | None:
        return next((each for each in self.image if each.name == name), None)


def read_offers(file: Path) -> Offers:
    """Raises ValueError where the file cannot be read or an entry is wrong; one line."""
    try:
        offers = msgspec.convert(tomllib.loads(file.read_text()), Offers)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{file}: {error}") from error
    if not offers.zones:
        raise ValueError(f"{file}: [zones] names at least one zone")
    for kind, entries in (
        ("instance-sku", offers.instance_sku),
        ("storage-sku", offers.storage_sku),
        ("image", offers.image),
    ):
        names = [sku_name(each.name) for each in entries]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{file}: {kind} {', '.join(twice)}: duplicate name")
    for each in offers.storage_sku:
        try:
            validated_spec(CatalogueEntry("storage-sku", each.name, each.spec, each.labels))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    return offers
