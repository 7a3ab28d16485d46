"""What can be wished of one resource: three wishes of users, three of the house."""

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
    """The version the caller last saw; 0 says that it must not exist."""


class Act(msgspec.Struct, frozen=True, kw_only=True):
    action: str
    expected: int | None = None


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    expected: int | None = None
    regardless: bool = False
    """Whatever lies in it or holds it: what should never have been is taken back."""


class ReportStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which life and which position were in view, and what was found."""

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
    """What was over a quota: its whole life, or back to what was wanted before it grew."""

    to: Put | None = None
    expected: int


Command = Put | Act | Delete | ReportStatus | ConfirmDeleted | Revert
