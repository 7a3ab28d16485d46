"""Pages to write into a log."""

from datetime import UTC, datetime

from secaplane.eventlog.codec import Page
from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, By
from secaplane.model.shape import NOWHERE, Json, Ref

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
SPEC: Json = {"sizeGB": 10}


def page(ref: Ref, event: AnyEvent, *, request: str = "r", uid: str = "u1") -> Page:
    return Page(
        ref=ref, uid=uid, time=NOON, request=request, cause=NOWHERE, by=By(sub="jane"), event=event
    )
