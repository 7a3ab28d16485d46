"""Region: a location of the cloud, with its zones and the URLs of its providers.

SECA `seca.region/v1` (foundation.region.v1)."""

from typing import Annotated

from msgspec import Meta

from secaplane.kinds.region import PROVIDER
from secaplane.model.kind import Backing, Kind
from secaplane.model.shape import Wire, Zone


class ProviderEntry(Wire, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=64)]
    version: Annotated[str, Meta(min_length=1, max_length=16)]
    url: Annotated[str, Meta(min_length=1, max_length=4000)]


class RegionSpec(Wire, frozen=True):
    available_zones: Annotated[tuple[Zone, ...], Meta(min_length=1, max_length=32)]
    providers: Annotated[tuple[ProviderEntry, ...], Meta(min_length=1, max_length=64)]


KIND = Kind(
    provider=PROVIDER,
    name="region",
    title="Region",
    collection="regions",
    spec=RegionSpec,
    backing=Backing.CATALOGUE,
)
