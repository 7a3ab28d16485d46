"""Builtin resources: system roles, which every tenant has without an event. Each is shown as if it
had been created with its tenant and never changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.document import document, encode
from secaplane.model.kind import Kind
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Condition, Json, Resource, State
from secaplane.policy.grants.system_roles import SYSTEM_ROLES
from secaplane.readmodel.questions.resources import Row

SPECS: Mapping[str, Mapping[str, Json]] = {"role": SYSTEM_ROLES}
"""By kind and name."""
assert all(SPECS.get(k.name, {}).keys() == k.exposure.builtin_names for k in KINDS.values())


class _Metadata(msgspec.Struct, frozen=True):
    created_at: datetime = msgspec.field(name="createdAt")


class _CreatedAt(msgspec.Struct, frozen=True):
    """The part of a document that says when it was created."""

    metadata: _Metadata


_decode = msgspec.json.Decoder(_CreatedAt).decode


def rows(kind: Kind, ids: Mapping[str, str], tenant: str | None) -> list[Row]:
    """The builtin resources of a kind in the order of a list; none in a tenant that does not exist
    (yet). `tenant` is the tenant's document."""
    if tenant is None:
        return []
    since = _decode(tenant).metadata.created_at
    return [Row(_shown(kind, ids, name, since), name, 0) for name in sorted(SPECS[kind.name])]


def page(
    found: Sequence[Row], builtins: Sequence[Row], *, after: tuple[str, int], limit: int
) -> list[Row]:
    """Rows of a page together with the builtin resources that belong on it. A page without room
    for its last row ends there."""
    due = [row for row in builtins if (row.name, row.life) > after]
    rows = sorted((*found, *due), key=lambda row: (row.name, row.life))[:limit]
    full = next((n for n, row in enumerate(rows, start=1) if row.document is None), limit)
    return rows[:full]


def _shown(kind: Kind, ids: Mapping[str, str], name: str, since: datetime) -> str:
    resource = Resource(
        ref=kind.ref(ids, name),
        uid="",
        spec=SPECS[kind.name][name],
        state=State.ACTIVE,
        conditions=(Condition(state=State.ACTIVE, last_transition_at=since),),
        version=1,
        position=BEGINNING,
        time=since,
        life=BEGINNING,
        created_at=since,
        modified_at=since,
        last_intent=BEGINNING,
    )
    return encode(document(kind, resource, region="")).decode()
