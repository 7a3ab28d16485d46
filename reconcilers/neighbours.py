"""Who is to be looked at again because something else has changed: a load balancer, when an
instance behind it goes off."""

import asyncio
from collections.abc import Iterable, Sequence

from asyncpg import Pool

from command.lookout import Reached
from eventlog.log import Blank, Followed
from kinds import FOLLOWERS, KINDS, followed, sharers
from model.events import Deleted, StatusReported
from model.shape import NOWHERE, Position, Ref, State
from readmodel import links

PATIENCE_S = 2.0


class Neighbours:
    """Events that may matter to others, until the read model knows them; then the others."""

    def __init__(self, pool: Pool, reached: Reached) -> None:
        self._pool, self._reached = pool, reached
        self._changed: dict[Ref, Position] = {}
        self._some = asyncio.Event()

    def notice(self, followed: Followed) -> None:
        """That something became active or went: nothing else changes what it is to others."""
        if isinstance(followed, Blank) or followed.ref.kind not in _WATCHED:
            return
        match followed.event:
            case StatusReported(state=State.ACTIVE) | Deleted():
                self._changed[followed.ref] = followed.position
                self._some.set()

    async def found(self) -> Sequence[Ref]:
        """Waits for changes, and until the read model knows them, then says who is concerned.

        Raises:
            whatever the database raises; what was noticed is kept.
        """
        await self._some.wait()
        changed = dict(self._changed)
        while not await self._reached(max(changed.values()), PATIENCE_S):
            pass  # nobody else is kept waiting, and what looks by itself looks anyway
        concerned = await self._concerned(changed)
        self._changed = {
            ref: position
            for ref, position in self._changed.items()
            if position > changed.get(ref, NOWHERE)
        }
        if not self._changed:
            self._some.clear()
        return concerned

    async def _concerned(self, changed: Iterable[Ref]) -> list[Ref]:
        refs = list(changed)
        users = await links.users(self._pool, refs, kinds=FOLLOWERS)
        concerned = [user.ref for user in users if user.ref.kind in _followers_of(user.target)]
        for name, kinds in _SHARERS.items():
            some = [ref for ref in refs if ref.kind == name]
            if some:
                concerned += await links.neighbours(self._pool, some, kinds=kinds)
        return list(dict.fromkeys(concerned))


def _followers_of(target: Ref) -> tuple[str, ...]:
    return followed(KINDS[target.kind])


_SHARERS = {name: found for name, kind in KINDS.items() if (found := sharers(kind))}
_WATCHED = {name for name, kind in KINDS.items() if followed(kind)} | set(_SHARERS)
