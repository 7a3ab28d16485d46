"""Commands on one resource: three of callers, three of the control plane itself. Pure."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.errors import Refusal
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


class Revert(msgspec.Struct, frozen=True, kw_only=True):
    """The compensating command for a PUT or a DELETE that must not stand."""

    to: Put | None = None
    """The desired state before it; None where a PUT created the resource: it is deleted."""
    expected: int


class Violation(NamedTuple):
    """The reason why a recorded write must not stand, and the compensating command."""

    refusal: Refusal
    command: Delete | Revert
    cause: Position


Command = Put | Act | Delete | ReportStatus | ConfirmDeleted | Revert
