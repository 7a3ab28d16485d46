"""The catalogue of an OpenStack cloud: what is declared (`offers`) and what the cloud has of it."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from secaplane.model.shape import Json
from secaplane.plugins.catalogue import validated_spec
from secaplane.plugins.openstack.client import Api, CallRefused, OpenStackClient, TokenScope
from secaplane.plugins.openstack.flavor_names import PREFIX, broken_promises, parse
from secaplane.plugins.openstack.offers import ImageOffer, InstanceOffer, Offers
from secaplane.plugins.plugin import CatalogueEntry

WITH_EXTRA_SPECS = "2.61"
"""The microversion from which a list of flavors has their extra specs."""
SCS_NAME = "scs:name-v"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""By the architecture of an image: that of SECA."""
log = logging.getLogger("secaplane.openstack")


class LeftOut(NamedTuple):
    """An entry of the table that the cloud does not have as it is declared."""

    kind: str
    name: str
    reason: str


class Offered(NamedTuple):
    entries: Sequence[CatalogueEntry]
    left_out: Sequence[LeftOut]


async def read_catalogue(
    client: OpenStackClient, scope: TokenScope, offers: Offers, region: str
) -> Offered:
    """Raises CallRefused and CloudUnavailable."""
    flavors = await _flavors(client, scope)
    types = await client.listed(Api.VOLUME, "/types", "volume_types", scope=scope)
    images = {each.image: await image_named(client, scope, each.image) for each in offers.image}
    type_names = {each["name"] for each in types}
    found = [*offered(offers, flavors, type_names, images)]
    entries = [each for each in found if isinstance(each, CatalogueEntry)]
    left_out = [each for each in found if isinstance(each, LeftOut)]
    zones = CatalogueEntry("region", region, {"availableZones": sorted(offers.zones)})
    return Offered([zones, *entries], left_out)


def report(left_out: Iterable[LeftOut]) -> None:
    for each in left_out:
        about = {"kind": each.kind, "entry": each.name, "reason": each.reason}
        log.warning("an entry of the catalogue is left out", extra=about)


async def _flavors(client: OpenStackClient, scope: TokenScope) -> Sequence[Json]:
    return await client.listed(
        Api.COMPUTE, "/flavors/detail", "flavors", scope=scope, version=WITH_EXTRA_SPECS
    )


async def image_named(client: OpenStackClient, scope: TokenScope, name: str) -> Json | None:
    """The public image of a name that is usable; the newest, where there are several."""
    query = {"name": name, "visibility": "public", "status": "active", "sort": "created_at:desc"}
    try:
        answer = await client.request(Api.IMAGE, "GET", "/images", scope=scope, query=query)
    except CallRefused as refused:
        if refused.is_absent:
            return None
        raise
    images: list[Json] = answer["images"]
    return images[0] if images else None


def offered(
    offers: Offers,
    flavors: Sequence[Json],
    volume_types: set[str],
    images: Mapping[str, Json | None],
) -> Iterator[CatalogueEntry | LeftOut]:
    for each in offers.instance_sku:
        yield _instance_sku(each, flavors)
    for storage in offers.storage_sku:
        if storage.volume_type in volume_types:
            yield CatalogueEntry("storage-sku", storage.name, storage.spec, storage.labels)
        else:
            reason = f"the cloud has no volume type {storage.volume_type}"
            yield LeftOut("storage-sku", storage.name, reason)
    for image in offers.image:
        yield _image(image, images[image.image])


def _instance_sku(offer: InstanceOffer, flavors: Sequence[Json]) -> CatalogueEntry | LeftOut:
    flavor = flavor_named(flavors, offer.flavor)
    if flavor is None:
        return LeftOut("instance-sku", offer.name, f"the cloud has no flavor {offer.flavor}")
    try:
        reasons = [*_promises(offer.flavor, flavor)]
        spec = {"vCPU": flavor["vcpus"], "ram": max(1, flavor["ram"] // 1024)}
        entry = CatalogueEntry("instance-sku", offer.name, spec, offer.labels)
        validated_spec(entry)
    except ValueError as error:
        return LeftOut("instance-sku", offer.name, str(error))
    if reasons:
        return LeftOut("instance-sku", offer.name, f"{offer.flavor}: {'; '.join(reasons)}")
    return entry


def _promises(name: str, flavor: Json) -> Iterator[str]:
    """Raises WrongName."""
    if name.startswith(PREFIX):
        yield from broken_promises(
            parse(name),
            cpus=flavor["vcpus"],
            ram_mib=flavor["ram"],
            disk_gb=flavor["disk"],
            extra=flavor.get("extra_specs", {}),
        )


def flavor_named(flavors: Sequence[Json], name: str) -> Json | None:
    """The flavor of a name; else the one that has it as its name by the standard of SCS."""
    for each in flavors:
        if each["name"] == name:
            return each
    for each in flavors:
        extra = each.get("extra_specs", {})
        if any(key.startswith(SCS_NAME) and value == name for key, value in extra.items()):
            return each
    return None


def _image(offer: ImageOffer, image: Json | None) -> CatalogueEntry | LeftOut:
    if image is None:
        return LeftOut("image", offer.name, f"the cloud has no public image {offer.image}")
    architecture = ARCHITECTURES.get(image.get("architecture", ""))
    if architecture is None:
        return LeftOut("image", offer.name, f"{offer.image} names no architecture that SECA has")
    spec = {
        "blockStorageRef": {"resource": f"block-storages/{offer.name}"},
        "cpuArchitecture": architecture,
        "boot": "UEFI" if image.get("hw_firmware_type") == "uefi" else "BIOS",
        "initializer": offer.initializer,
    }
    return CatalogueEntry("image", offer.name, spec, offer.labels)
