"""The catalogue of the simulated cloud, read from a TOML file and checked at the start."""

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from secaplane.kinds import sku_name
from secaplane.model.shape import Labels, Zone
from secaplane.plugins.catalogue import validated_spec
from secaplane.plugins.plugin import CatalogueEntry

STANDARD = Path(__file__).with_name("catalogue.toml")


class Catalogue(msgspec.Struct, frozen=True):
    zones: tuple[str, ...]
    skus: tuple[CatalogueEntry, ...]
    """SKUs, and images that are shared with every tenant."""

    def has(self, kind: str, name: str) -> bool:
        """By its name, or by an alias of it."""
        return any(sku.kind == kind and sku_name(sku.name) == sku_name(name) for sku in self.skus)

    def entries(self, region: str) -> list[CatalogueEntry]:
        """The entries; the control plane adds the region's providers, with its own URL."""
        spec = {"availableZones": list(self.zones)}
        return [CatalogueEntry("region", region, spec), *self.skus]


class _Zones(msgspec.Struct, frozen=True):
    zones: tuple[Zone, ...]


class _Sku(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    spec: dict[str, Any]
    labels: Labels = {}


def read(file: Path) -> Catalogue:
    """Raises ValueError where an entry does not match its kind; one line names file and entry."""
    try:
        written = tomllib.loads(file.read_text())
        zones = msgspec.convert(written, _Zones).zones
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ValueError(f"{file}: {error}") from error
    del written["zones"]
    skus = (sku for kind, entries in written.items() for sku in _skus(file, kind, entries))
    return Catalogue(zones, tuple(skus))


def _skus(file: Path, kind: str, written: Any) -> list[CatalogueEntry]:
    entries: list[CatalogueEntry] = []
    for number, each in enumerate(written):
        try:
            sku = msgspec.convert(each, _Sku)
            entry = CatalogueEntry(kind, sku.name, sku.spec, sku.labels)
            validated_spec(entry)
        except msgspec.ValidationError as error:
            name = each.get("name") if isinstance(each, dict) else None
            raise ValueError(f"{file}: [[{kind}]] {name or number}: {error}") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
        if any(sku_name(other.name) == sku_name(sku.name) for other in entries):
            raise ValueError(f"{file}: {kind} {sku.name}: duplicate name")
        entries.append(entry)
    return entries
