"""Who is to be looked at again because something else has changed: a load balancer, when an
instance behind it goes off."""

import asyncio
from collections.abc import Iterable, Sequence

from asyncpg import Pool

from secaplane.command.dependencies import Door
from secaplane.eventlog.codec import Unreadable
from secaplane.eventlog.log import Blank, Followed
from secaplane.kinds import FOLLOWERS, KINDS, followed, sharers
from secaplane.kinds.references import uses
from secaplane.model.events import Created, Deleted, StatusReported, Updated
from secaplane.model.shape import NOWHERE, Position, Ref, State
from secaplane.readmodel import questions

PATIENCE_S = 2.0
GATHER_S = 0.02
"""What happens within that is asked about in one question: nobody notices, and under load the
database has hundreds of questions less to answer each second."""


class Neighbours:
    """Events that may matter to others, until the read model knows them; then the others."""

    def __init__(self, pool: Pool, door: Door) -> None:
        self._pool, self._door = pool, door
        self._changed: dict[Ref, Position] = {}
        self._let_go: set[Ref] = set()
        """What may have named something that it names no longer."""
        self._some = asyncio.Event()

    def notice(self, followed: Followed) -> None:
        """That something became active or went: nothing else changes what it is to others."""
        if isinstance(followed, Blank) or followed.ref.kind not in _WATCHED:
            return
        if isinstance(followed.event, Updated | Deleted) and followed.ref.kind in _SHARERS:
            self._let_go.add(followed.ref)
        match followed.event:
            case StatusReported(state=State.ACTIVE) | Deleted():
                self._changed[followed.ref] = followed.position
                self._some.set()

    async def found(self) -> Sequence[Ref]:
        """Waits for changes, and until the read model knows them, then says who is concerned.

        Raises:
            whatever the database raises, Unanswered; what was noticed is kept.
        """
        await self._some.wait()
        await asyncio.sleep(GATHER_S)
        changed = dict(self._changed)
        while not await self._door.reached(max(changed.values()), PATIENCE_S):
            pass  # nobody else is kept waiting, and what looks by itself looks anyway
        concerned = await self._concerned(changed)
        self._changed = {
            ref: position
            for ref, position in self._changed.items()
            if position > changed.get(ref, NOWHERE)
        }
        self._let_go -= changed.keys() - self._changed.keys()
        if not self._changed:
            self._some.clear()
        return concerned

    async def _concerned(self, changed: Iterable[Ref]) -> list[Ref]:
        refs = list(changed)
        users = await questions.users(self._pool, refs, kinds=FOLLOWERS)
        concerned = [user.ref for user in users if user.ref.kind in _followers_of(user.target)]
        for name, kinds in _SHARERS.items():
            some = [ref for ref in refs if ref.kind == name]
            if some:
                concerned += await questions.neighbours(self._pool, some, kinds=kinds)
            for ref in self._let_go.intersection(some):
                once = await questions.users(self._pool, await self._once_named(ref), kinds=kinds)
                concerned += [user.ref for user in once]
        return list(dict.fromkeys(concerned))

    async def _once_named(self, ref: Ref) -> list[Ref]:
        """What a resource ever referred to in its last life: the read model knows it no longer, and
        who shared it may not know yet that it was let go."""
        here = await self._door.folds.fresh(ref)
        if here is None:
            return []
        try:
            history = await self._door.log.read(ref, after=Position(here.life - 1))
        except Unreadable:
            return sorted(uses(ref, here.spec))
        wishes = [e.event.spec for e in history if isinstance(e.event, Created | Updated)]
        return sorted({target for spec in wishes for target in uses(ref, spec)})


def _followers_of(target: Ref) -> tuple[str, ...]:
    return followed(KINDS[target.kind])


_SHARERS = {name: found for name, kind in KINDS.items() if (found := sharers(kind))}
_WATCHED = {name for name, kind in KINDS.items() if followed(kind)} | set(_SHARERS)
