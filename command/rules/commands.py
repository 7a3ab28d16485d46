"""Commands on one resource: three of callers, one of operators, three of the control plane itself.
Pure."""

from typing import NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from secaplane.model.errors import Refusal
from secaplane.model.position import BEGINNING, Position
from secaplane.model.precondition import UNCONDITIONAL, Precondition
from secaplane.model.shape import Annotations, Extensions, Json, Labels, State


class Put(msgspec.Struct, frozen=True, kw_only=True):
    spec: Json
    labels: Labels | UnsetType = UNSET
    annotations: Annotations | UnsetType = UNSET
    extensions: Extensions | UnsetType = UNSET
    precondition: Precondition = UNCONDITIONAL


class Act(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    precondition: Precondition = UNCONDITIONAL


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    precondition: Precondition = UNCONDITIONAL
    regardless: bool = False
    """Children and referrers do not block the deletion: for a creation that must be reverted."""


class Close(msgspec.Struct, frozen=True, kw_only=True):
    """Close a history that cannot be read, as a whole: also events that another release may be able
    to read."""

    since: Position = BEGINNING
    """Position of the first event that a read model leaves out, or that the log has lost;
    BEGINNING: none."""
    version: int = 0
    """The version that the rows show, where a resource's last event is lost."""
    reason: str = ""


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A status, and the life and position of the resource that it was observed for."""

    uid: str
    observed_position: Position
    state: State
    status: Json
    reason: str = ""
    message: str = ""
    only_at: Position = BEGINNING
    """The report holds only while this is the resource's last position: an observation that any
    later event may contradict. BEGINNING: it holds in any case."""


class ConfirmDeleted(msgspec.Struct, frozen=True, kw_only=True):
    uid: str
    observed_position: Position


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """Replaces a spec by one without a name that is gone. Nothing refuses it: it only removes."""

    spec: Json
    expected: int


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


Command = Put | Act | Delete | Close | ReportStatus | ConfirmDeleted | Release | Revert
