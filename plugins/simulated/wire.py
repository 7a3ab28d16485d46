"""What travels between the simulated cloud and the plugin, and those who test with it."""

from typing import Annotated

import msgspec
from msgspec import Meta

from secaplane.model.shape import Json, PowerState
from secaplane.plugins import InProgress, Ready, TerminalError

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class ReadyAnswer(Ready, frozen=True, tag="settled"): ...


class InProgressAnswer(InProgress, frozen=True, tag="working"): ...


class TerminalErrorAnswer(TerminalError, frozen=True, tag="refused"): ...


Answer = ReadyAnswer | InProgressAnswer | TerminalErrorAnswer
"""An outcome that says in its JSON which one it is."""


class DesiredObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a thing shall be."""

    kind: str
    path: str
    spec: Json
    power: PowerState | None = None
    """The level its power shall have; left as it is where nothing is said."""
    targets: dict[str, str] = {}
    """The uids of what its references mean, by their pointers below the spec."""
    around: dict[str, str] = {}
    """The uids of what it lies in, by kind."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A wish that is obeyed once: to start, stop or restart what the wish describes."""

    action: str
    desired: DesiredObject


class CloudObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One machine, volume, network ... that the cloud has. Nothing else says that it exists."""

    uid: str
    kind: str
    path: str
    spec: Json
    power: PowerState | None = None
    targets: dict[str, str] = {}
    around: dict[str, str] = {}
    """As last wished."""
    status: Json = {}
    """The kind's own status fields; empty before anything was made."""
    begun_at: float
    """When its last change began, in seconds since 1970; what a delay is counted from."""
    terminating: bool = False


class RefusalFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault: things of this kind whose name fits the pattern are refused; empty fits all."""

    kind: str = ""
    name: str = "*"
    reason: str = "NotHere"
    message: str = "this cloud was told to refuse it"


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the cloud shall misbehave; by default it does not."""

    delay_s: Seconds = 0
    """How long after it began a change is Working."""
    look_again_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    """What a Working answer says; by default, the time that is left."""
    refuse: tuple[RefusalFault, ...] = ()
    outage: bool = False
    """Whatever a plugin asks is answered: unavailable."""
    lose_answers: Annotated[int, Meta(ge=0)] = 0
    """How many more changes are made and then not answered."""
    hold_answers_s: Seconds = 0
    """How long the answer to a change is held back once the change is made."""


class Counts(msgspec.Struct, frozen=True):
    """What was done, for ever: by uid, and in all by kind."""

    creates: dict[str, int]
    removes: dict[str, int]
    actions: dict[str, int]
    totals: dict[str, dict[str, int]]
    """Kind -> creates, removes, actions."""
