"""Drift of one resource: its actual status in the cloud against the recorded one. Pure."""

from typing import NamedTuple

from msgspec import UNSET

from secaplane.kinds import KINDS
from secaplane.model.explained import ABSENT, DIFFERS
from secaplane.model.kind import Backing
from secaplane.model.shape import Json, Resource, State

FIELDS_MAX = 10
"""Fields that one message names."""


class Drift(NamedTuple):
    """The reason of a `DriftDetected` condition, and its message: the names of fields, without
    their values, which may be secret."""

    reason: str
    message: str


def comparable(resource: Resource) -> bool:
    """True while the recorded status answers the last intent: only then a difference is drift."""
    kind = KINDS[resource.ref.kind]
    settled = resource.state is State.ACTIVE and not resource.terminating
    return kind.backing is Backing.PLUGIN and settled and not kind.unsettled(resource)


def drift_of(resource: Resource, actual: Json | None) -> Drift | None:
    """The difference between the recorded status and the actual one, sealed as it would be
    recorded; None for `actual` where the cloud has nothing. The fields that show owned resources
    come from no plugin and are not compared."""
    if actual is None:
        return Drift(ABSENT, "the cloud has nothing for this resource")
    recorded, owned = resource.observed, KINDS[resource.ref.kind].owned.status(())
    names = (recorded.keys() | actual.keys()) - owned.keys()
    fields = sorted(name for name in names if recorded.get(name, UNSET) != actual.get(name, UNSET))
    if not fields:
        return None
    more = f" and {len(fields) - FIELDS_MAX} more" if len(fields) > FIELDS_MAX else ""
    return Drift(DIFFERS, f"the cloud differs in {', '.join(fields[:FIELDS_MAX])}{more}")
