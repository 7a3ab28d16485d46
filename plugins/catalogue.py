"""Validation of catalogue entries against the kinds. Pure."""

from typing import Any

import msgspec

from secaplane.kinds import KINDS, PROVIDERS
from secaplane.model.kind import Backing
from secaplane.model.shape import Json
from secaplane.plugins.plugin import CatalogueEntry


def validated_spec(entry: CatalogueEntry, *, base_url: str = "https://localhost") -> Json:
    """The spec to record for an entry, with the defaults of its kind. A region lists the SECA
    providers at `base_url`, the address of this control plane; the cloud gives its zones only.

    Raises:
        ValueError: clouds cannot offer this kind, or the spec does not match it; one line.
    """
    kind = KINDS.get(entry.kind)
    if kind is None or not (kind.backing is Backing.CATALOGUE or kind.exposure.to_all_tenants):
        raise ValueError(f"{entry.kind} {entry.name}: not a kind that a cloud can offer")
    spec = entry.spec
    if entry.kind == "region":
        spec = spec | {"providers": _providers(base_url)}
    try:
        converted: Any = msgspec.convert(spec, kind.spec)
    except msgspec.ValidationError as error:
        raise ValueError(f"{entry.kind} {entry.name}: {error}") from error
    plain: Json = msgspec.json.decode(msgspec.json.encode(converted))
    return plain


def _providers(base_url: str) -> list[Json]:
    return [
        {"name": p.name, "version": p.version, "url": f"{base_url}/providers/{p.name}"}
        for name, p in sorted(PROVIDERS.items())
        if name.startswith("seca.")
    ]
