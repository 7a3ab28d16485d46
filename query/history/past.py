"""One resource as it was at a point of the past, from a snapshot of the history."""

from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from secaplane.kinds import KINDS, log_ref, parents
from secaplane.model.desired import ERASED_TEXT, with_secrets_hidden
from secaplane.model.document import document, encode
from secaplane.model.errors import Damaged, NotFound
from secaplane.model.kind import Backing, Kind
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource
from secaplane.query.history.derived import derived
from secaplane.query.history.lives import began_in_present_lives, decode_resource
from secaplane.query.history.points import AsOf, Point
from secaplane.query.read import Ids, in_tenant
from secaplane.readmodel.history_row import HistoryRow
from secaplane.readmodel.questions import history
from secaplane.readmodel.questions.derived import shown
from secaplane.readmodel.schema.tables import Tx


class PastResource(NamedTuple):
    """A resource as it was after one of its events."""

    row: HistoryRow
    resource: Resource


async def life(tx: Tx, ref: Ref) -> PastResource:
    """The newest state of the life that is shown: the name's newest one, gone or not, if it began
    in the present lives of all that contains it.

    Raises:
        NotFound: there is none.
        Damaged: the resource is in quarantine.
    """
    found = await history.moments(tx, ref, parents(ref), None)
    return await _checked(tx, ref, found)


async def at(tx: Tx, ref: Ref, as_of: AsOf) -> PastResource:
    """The state as of then, in the life that is shown; also that of a resource that was gone.

    Raises:
        NotFound, Damaged: as `life`; NotFound also where the life began later.
    """
    found = await history.moments(tx, ref, parents(ref), as_of)
    newest = await _checked(tx, ref, found)
    if found.then is None or found.then.uid != newest.row.uid:
        raise _not_then(ref)
    return PastResource(found.then, decode_resource(found.then.resource))


async def living_at(tx: Tx, ref: Ref, as_of: AsOf) -> PastResource:
    """As `at`, for a resource that was not gone."""
    found = await at(tx, ref, as_of)
    if found.row.ended:
        raise _not_then(ref)
    return found


async def resolved(tx: Tx, ref: Ref, point: Point) -> AsOf:
    """The moment of a point: of a version, the event that began it in the life that is shown.

    Raises:
        NotFound: the life has no such version.
    """
    if not isinstance(point, int):
        return point
    resource = (await life(tx, ref)).resource
    row = await with_version(tx, ref, resource, point)
    return row.position


async def with_version(tx: Tx, ref: Ref, newest: Resource, version: int) -> HistoryRow:
    """The event that began a version. An intent event is one version, so they are counted."""
    first = await history.first_with_version(tx, ref, life=newest.life.sequence, number=0)
    begun = decode_resource(first.resource).version if first is not None else 1
    if not begun <= version <= newest.version:
        raise NotFound(f"{ref.kind} {ref.name} has the versions {begun} to {newest.version}")
    row = await history.first_with_version(
        tx, ref, life=newest.life.sequence, number=version - begun
    )
    if row is None or decode_resource(row.resource).version != version:
        raise Damaged(ref=ref)  # the log has lost an event between
    return row


async def shown_document(
    tx: Tx, kind: Kind, ids: Ids, resource: Resource, as_of: AsOf, *, region: str
) -> bytes:
    """The answer of a GET as of then, with its secrets hidden."""
    made = encode(document(kind, with_secrets_hidden(kind, resource), region=region)).decode()
    if kind.backing is Backing.CATALOGUE and kind.scope:
        return in_tenant(kind, ids["tenant"], made)
    fields = (await derived(tx, [resource.ref], as_of)).get(resource.ref)
    return (shown(made, *fields) if fields else made).encode()


def erased_document(kind: Kind, resource: Resource, *, region: str) -> bytes:
    """The answer of a GET as of then where the key of the contents was destroyed."""
    blank = replace(resource, spec={}, labels=UNSET, annotations=UNSET, extensions=UNSET)
    made = document(kind, blank, region=region) | {"spec": ERASED_TEXT}
    if kind.has_status:
        made["status"] = ERASED_TEXT
    return encode(made)


def stored_ref(kind: Kind, ids: Ids) -> Ref:
    return log_ref(kind.ref(ids, ids["name"]))


def position_of(as_of: AsOf | int) -> Position | None:
    return as_of if isinstance(as_of, Position) else None


async def _checked(tx: Tx, ref: Ref, found: history.Moments) -> PastResource:
    latest = found.latest
    resource = decode_resource(latest.resource) if latest is not None else None
    if ref.name in KINDS[ref.kind].exposure.builtin_names:
        raise NotFound(f"{ref.kind} {ref.name} comes with the release: it has no history")
    if latest is None or resource is None or not resource.version:
        raise _unknown(ref)
    if not began_in_present_lives(resource, found.parents):
        raise _unknown(ref)
    if not latest.ended and await history.is_quarantined(tx, ref):
        raise Damaged(ref=ref)
    return PastResource(latest, resource)


def _unknown(ref: Ref) -> NotFound:
    return NotFound(
        f"there is no history of a {ref.kind} {ref.name} here: what is shown begins with the"
        " present lives of the resources that contain it"
    )


def _not_then(ref: Ref) -> NotFound:
    kind = KINDS[ref.kind].name
    return NotFound(f"there was no {kind} {ref.name} then, or it was of a former life")
