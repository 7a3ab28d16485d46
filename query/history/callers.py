"""Callers in what is shown of the past: their names are stored sealed, and opened for an answer."""

from collections.abc import Awaitable, Callable

import msgspec

from secaplane.model.actor import SealedActor, ShownActor
from secaplane.model.shape import Ref
from secaplane.readmodel.history_row import HistoryRow

OpenActor = Callable[[SealedActor, Ref, str, str, str], Awaitable[ShownActor]]
"""(sealed actor, resource, uid of its life, uid of the tenant's life, request) -> the actor as it
is shown. Raises Unavailable."""
_encode = msgspec.json.Encoder().encode


async def with_caller(open_actor: OpenActor, row: HistoryRow, ref: Ref, tenant: str) -> HistoryRow:
    """The row with its caller opened; the same one where the caller is stored in clear."""
    if not row.actor.startswith('"'):
        return row
    sealed = msgspec.json.decode(row.actor, type=str)
    shown = await open_actor(sealed, ref, row.uid, tenant, row.request)
    return row._replace(actor=_encode(shown).decode())
