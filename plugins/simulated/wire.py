"""Messages between the simulated cloud, its plugin and tests."""

from typing import Annotated

import msgspec
from msgspec import Meta

from secaplane.model.shape import Json, PowerState
from secaplane.plugins.plugin import Fence, InProgress, Ready, TerminalError

Seconds = Annotated[float, Meta(ge=0, le=86_400)]


FENCE_HEADER = "Fence"
"""Header of every request about a thing: `<epoch>.<number>`."""


class ReadyAnswer(Ready, frozen=True, tag="ready"): ...


class InProgressAnswer(InProgress, frozen=True, tag="in-progress"): ...


class TerminalErrorAnswer(TerminalError, frozen=True, tag="terminal-error"): ...


Answer = ReadyAnswer | InProgressAnswer | TerminalErrorAnswer
"""An outcome, tagged by its type in JSON."""


class ObservationQuestion(msgspec.Struct, frozen=True):
    uid: str
    fence: Fence


class ObservationAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of what exists for a uid."""

    status: Json | None = None
    """None: nothing exists."""
    rejected: str = ""
    """Why the fence was refused; then nothing is said about the thing."""


class DesiredObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The desired state of a thing."""

    kind: str
    path: str
    spec: Json
    power: PowerState | None = None
    """The desired power state; None leaves it as it is."""
    targets: dict[str, str] = {}
    """The uids of the targets of its references, by JSON pointer below the spec."""
    parents: dict[str, str] = {}
    """The uids of its parents, by kind."""

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class ActionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Start, stop or restart a thing, once for each key; `desired` as for `ensure`."""

    action: str
    desired: DesiredObject


class CloudObject(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One machine, volume, network ... that exists in the cloud."""

    uid: str
    kind: str
    path: str
    spec: Json
    power: PowerState | None = None
    targets: dict[str, str] = {}
    parents: dict[str, str] = {}
    """`spec`, `power`, `targets` and `parents` as the last call desired them."""
    status: Json = {}
    """The kind's own status fields; empty before the first call has ended."""
    begun_at: float
    """When its last change began, in seconds since 1970; a delay counts from here."""
    terminating: bool = False


class RefusalFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fault: things of this kind (empty: of any kind) whose name matches the pattern are
    refused."""

    kind: str = ""
    name: str = "*"
    reason: str = "NotHere"
    message: str = "a configured fault refuses it"


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Injected faults; by default none."""

    delay_s: Seconds = 0
    """A change is InProgress for that long after it began."""
    requeue_after_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    """`requeue_after_s` of InProgress answers; by default, the time that is left."""
    refuse: tuple[RefusalFault, ...] = ()
    outage: bool = False
    """Every request of a plugin is answered 503."""
    lose_answers: Annotated[int, Meta(ge=0)] = 0
    """That many more changes are made and then not answered."""
    hold_answers_s: Seconds = 0
    """The answer to a change is delayed for that long after the change is made."""


class ChangeCounts(msgspec.Struct, frozen=True):
    """Changes ever made: by uid, and in total by kind."""

    creates: dict[str, int]
    removes: dict[str, int]
    actions: dict[str, int]
    totals: dict[str, dict[str, int]]
    """Kind -> creates, removes, actions."""
