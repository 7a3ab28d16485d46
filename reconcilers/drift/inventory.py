"""Judgement of what the cloud holds: living, gone, or unknown to the log. Pure."""

from enum import Enum
from functools import reduce

from msgspec.structs import replace

from secaplane.kinds import KINDS, valid_ref
from secaplane.model.events import RecordedEvent
from secaplane.model.pointer import omitted
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.plugin import InventoryItem

SIGHTINGS_MAX = 100_000
"""Uids that are remembered from one sweep to the next; more are found by later sweeps."""


class Presence(Enum):
    LIVING = "living"
    """The log has a life with this uid that is not gone; or one that began after the listing."""
    GONE = "gone"
    """The log had a life with this uid, and it has ended."""
    UNKNOWN = "unknown"
    """The log never had it, or cannot say: it is reported, and left."""


def address(item: InventoryItem) -> Ref | None:
    """The address that the item is tagged with; None where no resource can have it."""
    return valid_ref(item.kind, item.path)


def presence(uid: str, latest: Resource | None, last_of_uid: Position = BEGINNING) -> Presence:
    """The presence of a uid, by the last state at its address, asked after the uid was listed; and
    where that is another life, by the last event that this uid has there (BEGINNING: none).

    A life is gone only if the latest state says so: it is this life, gone; or a life that began
    after this one's last event. An answer older than the listing does neither."""
    if latest is None:
        return Presence.UNKNOWN
    if latest.uid == uid:
        return Presence.GONE if latest.gone else Presence.LIVING
    if not last_of_uid:
        return Presence.UNKNOWN
    return Presence.GONE if last_of_uid < latest.life else Presence.LIVING


class Sightings:
    """Uids that are not living, as the last complete sweep and the present one judged them. One
    sweep is never enough: what was listed may have been removed before the log was asked."""

    def __init__(self) -> None:
        self._former: dict[str, Presence] = {}
        self._present: dict[str, Presence] = {}

    def begin(self) -> None:
        """A sweep begins; what a sweep saw that did not end is forgotten."""
        self._present = {}

    def confirmed(self, uid: str, seen: Presence) -> bool:
        """Note the judgement; True if the last complete sweep had the same. False: too young."""
        if len(self._present) < SIGHTINGS_MAX:
            self._present[uid] = seen
        return self._former.get(uid) is seen

    def end(self) -> None:
        self._former = self._present


def without_secrets(resource: Resource) -> Resource:
    """A resource as it is removed after its end: its secrets are opened for nothing any more."""
    spec = reduce(omitted, KINDS[resource.ref.kind].secrets.spec, resource.spec)
    return replace(resource, spec=spec)


def remains(ref: Ref, event: RecordedEvent) -> Resource:
    """A life of which only one event can be read: its address and uid are known."""
    position, time = event.position, event.time
    return Resource(
        ref=ref, uid=event.uid, tenant=event.tenant, spec={}, version=0, position=position,
        time=time, life=position, created_at=time, modified_at=time, last_intent=position,
    )  # fmt: skip
