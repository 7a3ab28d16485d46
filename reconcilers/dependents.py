"""Who is to be looked at again because something else has changed: a load balancer, when an
instance behind it goes off."""

import asyncio
from collections.abc import Iterable, Sequence

from asyncpg import Pool

from secaplane.command.dependencies import CommandDependencies
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Followed, UndecodableEvent
from secaplane.kinds import DEPENDENT_KINDS, KINDS, dependent_kinds, sharing_kinds
from secaplane.kinds.references import targets_of
from secaplane.model.events import Created, Deleted, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position, newest
from secaplane.model.shape import Ref, State
from secaplane.readmodel import questions

PATIENCE_S = 2.0
GATHER_S = 0.02
"""What happens within that is asked about in one question: nobody notices, and under load the
database has hundreds of questions less to answer each second."""


class Dependents:
    """Events that may matter to others, until the read model knows them; then the others."""

    def __init__(self, pool: Pool, dependencies: CommandDependencies) -> None:
        self._pool, self._door = pool, dependencies
        self._changed: dict[Ref, Position] = {}
        self._let_go: set[Ref] = set()
        """What may have named something that it names no longer."""
        self._some = asyncio.Event()

    def notice(self, dependent_kinds: Followed) -> None:
        """That something became active or went: nothing else changes what it is to others."""
        if (
            isinstance(dependent_kinds, UndecodableEvent)
            or dependent_kinds.ref.kind not in _WATCHED
        ):
            return
        if (
            isinstance(dependent_kinds.event, Updated | Deleted)
            and dependent_kinds.ref.kind in _SHARERS
        ):
            self._let_go.add(dependent_kinds.ref)
        match dependent_kinds.event:
            case StatusReported(state=State.ACTIVE) | Deleted():
                self._changed[dependent_kinds.ref] = dependent_kinds.position
                self._some.set()

    async def found(self) -> Sequence[Ref]:
        """Waits for changes, and until the read model knows them, then says who is concerned.

        Raises:
            whatever the database raises, Unanswered; what was noticed is kept.
        """
        await self._some.wait()
        await asyncio.sleep(GATHER_S)
        changed = dict(self._changed)
        while not await self._door.reached(newest(changed.values()), PATIENCE_S):
            pass  # nobody else is kept waiting, and what looks by itself looks anyway
        concerned = await self._concerned(changed)
        self._changed = {
            ref: position
            for ref, position in self._changed.items()
            if position > changed.get(ref, BEGINNING)
        }
        self._let_go -= changed.keys() - self._changed.keys()
        if not self._changed:
            self._some.clear()
        return concerned

    async def _concerned(self, changed: Iterable[Ref]) -> list[Ref]:
        refs = list(changed)
        users = await questions.referrers(self._pool, refs, kinds=DEPENDENT_KINDS)
        concerned = [user.ref for user in users if user.ref.kind in _followers_of(user.target)]
        for name, kinds in _SHARERS.items():
            some = [ref for ref in refs if ref.kind == name]
            if some:
                concerned += await questions.sharing_referrers(self._pool, some, kinds=kinds)
            for ref in self._let_go.intersection(some):
                once = await questions.referrers(
                    self._pool, await self._once_named(ref), kinds=kinds
                )
                concerned += [user.ref for user in once]
        return list(dict.fromkeys(concerned))

    async def _once_named(self, ref: Ref) -> list[Ref]:
        """What a resource ever referred to in its last life: the read model knows it no longer, and
        who shared it may not know yet that it was let go."""
        here = await self._door.cache.current(ref)
        if here is None:
            return []
        try:
            history = await self._door.log.read(ref, after=here.life.moved(-1))
        except Undecodable:
            return sorted(targets_of(ref, here.spec))
        wishes = [e.event.spec for e in history if isinstance(e.event, Created | Updated)]
        return sorted({target for spec in wishes for target in targets_of(ref, spec)})


def _followers_of(target: Ref) -> tuple[str, ...]:
    return dependent_kinds(KINDS[target.kind])


_SHARERS = {name: found for name, kind in KINDS.items() if (found := sharing_kinds(kind))}
_WATCHED = {name for name, kind in KINDS.items() if dependent_kinds(kind)} | set(_SHARERS)
