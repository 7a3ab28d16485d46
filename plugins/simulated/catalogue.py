"""What the simulated cloud has on offer, read from a file and checked before anybody can ask."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.shape import Labels, Zone
from secaplane.plugins import CatalogueEntry

STANDARD = Path(__file__).with_name("catalogue.toml")


class Catalogue(msgspec.Struct, frozen=True):
    zones: tuple[str, ...]
    skus: tuple[CatalogueEntry, ...]

    def has(self, kind: str, name: str) -> bool:
        return any(sku.name == name and sku.kind == kind for sku in self.skus)

    def offers(self, region: str) -> list[CatalogueEntry]:
        """A region's providers are the house's to say: the cloud does not know its addresses."""
        spec = {"availableZones": list(self.zones), "providers": []}
        return [CatalogueEntry("region", region, spec), *self.skus]


class _Zones(msgspec.Struct, frozen=True):
    zones: tuple[Zone, ...]


class _Sku(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    spec: dict[str, Any]
    labels: Labels = {}


def read(file: Path) -> Catalogue:
    """Raises ValueError where the house could not show it; one line names file and entry."""
    try:
        written = tomllib.loads(file.read_text())
        zones = msgspec.convert(written, _Zones).zones
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{file}: {error}") from error
    del written["zones"]
    skus = (sku for kind, entries in written.items() for sku in _skus(file, kind, entries))
    return Catalogue(zones, tuple(skus))


def _skus(file: Path, kind: str, written: Any) -> list[CatalogueEntry]:
    if kind not in KINDS or KINDS[kind].backing is not Backing.CATALOGUE:
        raise ValueError(f"{file}: [[{kind}]] is no kind that a cloud can offer")
    offers: list[CatalogueEntry] = []
    for number, each in enumerate(written):
        try:
            sku = msgspec.convert(each, _Sku)
            msgspec.convert(sku.spec, KINDS[kind].spec)
        except msgspec.ValidationError as error:
            name = each.get("name") if isinstance(each, dict) else None
            raise ValueError(f"{file}: [[{kind}]] {name or number}: {error}") from error
        if any(offer.name == sku.name for offer in offers):
            raise ValueError(f"{file}: [[{kind}]] {sku.name}: there are two of that name")
        offers.append(CatalogueEntry(kind, sku.name, sku.spec, sku.labels))
    return offers
