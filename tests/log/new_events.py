"""Events for tests to append to a log."""

from datetime import UTC, datetime

from secaplane.eventlog.codec import NewEvent
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.events import AnyEvent
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Json, Ref

REGION = "eu-1"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
IDS = {"tenant": "acme", "workspace": "web", "network": "net", "cluster": "k8s"}
WEB = KINDS["workspace"].ref(IDS, "web")
WEBSITE = KINDS["workspace"].ref(IDS, "website")
ONE = KINDS["instance"].ref(IDS, "one")
TWO = KINDS["instance"].ref(IDS, "two")
DISK = KINDS["block-storage"].ref(IDS, "one")
ELSEWHERE = KINDS["instance"].ref(IDS | {"tenant": "other"}, "one")
ROLE = KINDS["role"].ref(IDS, "reader")
SALT = bytes(range(16))
SPEC: Json = {"sizeGB": 10}


def new_event(
    ref: Ref,
    event: AnyEvent,
    *,
    request: str = "r",
    uid: str = "u1",
    previous: Position = BEGINNING,
) -> NewEvent:
    return NewEvent(
        ref=ref,
        uid=uid,
        time=NOON,
        request=request,
        previous=previous,
        salt=SALT,
        actor=Actor(sub="jane"),
        event=event,
    )
