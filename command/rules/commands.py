"""Commands on one resource: three of callers, three of the control plane itself. Pure."""

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.position import Position
from secaplane.model.shape import Annotations, Extensions, Json, Labels, State


class Put(msgspec.Struct, frozen=True, kw_only=True):
    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET
    expected: int | None = None
    """The version that the caller read last; 0: the resource must not exist."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    expected: int | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    expected: int | None = None
    regardless: bool = False
    """Children and referrers do not block the deletion: for a creation that must be reverted."""


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status, and the life and position of the resource that it was observed for."""

    uid: str
    observed_position: Position
    state: State
    status: Json
    reason: str = ""
    message: str = ""


class ConfirmDeleted(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    observed_position: Position


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Replaces a spec by one without a name that is gone. Nothing refuses it: it only removes."""

    spec: Json
    expected: int


class Revert(msgspec.Struct, frozen=True, kw_only=True):
    """The compensating command for a PUT that exceeded a quota."""

    to: Put | None = None
    """The desired state before the PUT; None where the PUT created the resource: it is deleted."""
    expected: int


Command = Put | Act | Delete | ReportStatus | ConfirmDeleted | Release | Revert
