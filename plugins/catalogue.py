"""Validation of catalogue entries against the kinds. Pure."""

from typing import Any

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.shape import Json
from secaplane.plugins.plugin import CatalogueEntry


def validated_spec(entry: CatalogueEntry) -> Json:
    """The spec of an entry, with the defaults of its kind.

    Raises:
        ValueError: clouds cannot offer this kind, or the spec does not match it; one line.
    """
    kind = KINDS.get(entry.kind)
    if kind is None or not (kind.from_catalogue or kind.shared):
        raise ValueError(f"{entry.kind} {entry.name}: not a kind that a cloud can offer")
    try:
        spec: Any = msgspec.convert(entry.spec, kind.spec)
    except msgspec.ValidationError as error:
        raise ValueError(f"{entry.kind} {entry.name}: {error}") from error
    written: Json = msgspec.to_builtins(spec)
    return written
