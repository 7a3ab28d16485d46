"""The lives that the past is shown of: the newest life of a name, if it began in the present lives
of all resources in its path. Pure."""

from collections.abc import Sequence

import msgspec

from secaplane.model.shape import Resource
from secaplane.readmodel.history_row import HistoryRow

decode_resource = msgspec.json.Decoder(Resource).decode
TENANT = "tenant"


def began_in_present_lives(resource: Resource, parents: Sequence[HistoryRow | None]) -> bool:
    """`parents`: the newest event of each resource in the path. A tenant may be in another stream,
    so its uid decides, which every event carries; all others are in the resource's stream."""
    return all(_contains(parent, resource) for parent in parents)


def _contains(parent: HistoryRow | None, resource: Resource) -> bool:
    if parent is None or parent.ended:
        return False
    present = decode_resource(parent.resource)
    if present.ref.kind == TENANT:
        return present.uid == resource.tenant
    return present.life < resource.life
