"""Callers and contents of sealed events for the read side, which does not import the log."""

from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.event_seals import EventSeals
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.actor import SealedActor, ShownActor
from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref
from secaplane.query.history.entries import SEALED_ACTOR

NO_KEYS = "the keys of the history do not answer; try again"


async def shown_actor(
    seals: EventSeals, sealed: SealedActor, ref: Ref, uid: str, tenant: str, request: str
) -> ShownActor:
    """Raises Unavailable."""
    try:
        return await seals.actor(sealed, ref, uid, tenant, request)
    except Undecodable:
        return ShownActor(sub=SEALED_ACTOR)
    except LogUnavailable as error:
        raise Unavailable(NO_KEYS) from error


async def erased(seals: EventSeals, tenant: str) -> bool:
    """Raises Unavailable."""
    try:
        return await seals.erased(tenant)
    except LogUnavailable as error:
        raise Unavailable(NO_KEYS) from error
