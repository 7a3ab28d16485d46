"""Dependents: resources to reconcile again because another one changed. A load balancer, for
example, when an instance behind it stops."""

import asyncio
from collections.abc import Mapping, Sequence

from asyncpg import Pool

from secaplane.command.dependencies import CommandDependencies
from secaplane.eventlog.codec import Undecodable
from secaplane.eventlog.log import Followed, UndecodableEvent
from secaplane.kinds import DEPENDENT_KINDS, KINDS, dependent_kinds, sharing_kinds
from secaplane.kinds.references import targets_of
from secaplane.model.events import Closed, Created, Deleted, StatusReported, Updated
from secaplane.model.position import BEGINNING, Position, newest
from secaplane.model.shape import Ref, State
from secaplane.readmodel import questions

PATIENCE_S = 2.0
GATHER_S = 0.02
"""Changes within that time share one query: under load that spares hundreds of queries a second,
and the delay is too short to matter."""


class Dependents:
    """Collects events that may matter to other resources, waits until the read model has reached
    them, and finds those resources."""

    def __init__(self, pool: Pool, dependencies: CommandDependencies) -> None:
        self._pool, self._commands = pool, dependencies
        self._changed: dict[Ref, Position] = {}
        self._released: dict[Ref, Position] = {}
        """Resources that may have removed a reference, and the event that did; kept until a change
        that follows it was worked off: the cloud has released the target only then."""
        self._some = asyncio.Event()

    def notice(self, followed: Followed) -> None:
        """Note the event if a resource became active or was deleted: only that changes what its
        dependents report."""
        if isinstance(followed, UndecodableEvent) or followed.ref.kind not in _WATCHED:
            return
        if (
            isinstance(followed.event, Updated | Deleted | Closed)
            and followed.ref.kind in _SHARING_KINDS
        ):
            self._released[followed.ref] = followed.position
        match followed.event:
            case StatusReported(state=State.ACTIVE) | Deleted() | Closed():
                self._changed[followed.ref] = followed.position
                self._some.set()

    async def next_batch(self) -> Sequence[Ref]:
        """Wait for changes, and until the read model has reached them; then their dependents.

        Raises:
            whatever the database raises, LogUnavailable; the changes are kept for the next call.
        """
        await self._some.wait()
        await asyncio.sleep(GATHER_S)
        changed = dict(self._changed)
        while not await self._commands.reached(newest(changed.values()), PATIENCE_S):
            pass  # only dependents wait here; all other resources are reconciled meanwhile
        dependents = await self._dependents_of(changed)
        self._changed = {
            ref: position
            for ref, position in self._changed.items()
            if position > changed.get(ref, BEGINNING)
        }
        self._released = {
            ref: position
            for ref, position in self._released.items()
            if position > changed.get(ref, BEGINNING)
        }
        if not self._changed:
            self._some.clear()
        return dependents

    async def _dependents_of(self, changed: Mapping[Ref, Position]) -> list[Ref]:
        refs = list(changed)
        referrers = await questions.referrers(self._pool, refs, kinds=DEPENDENT_KINDS)
        dependents = [
            each.ref
            for each in referrers
            if each.ref.kind in dependent_kinds(KINDS[each.target.kind])
        ]
        for name, kinds in _SHARING_KINDS.items():
            some = [ref for ref in refs if ref.kind == name]
            if some:
                dependents += await questions.sharing_referrers(self._pool, some, kinds=kinds)
            for ref in self._released.keys() & set(some):
                former = await self._former_targets(ref, changed[ref])
                sharing = await questions.referrers(self._pool, former, kinds=kinds)
                dependents += [each.ref for each in sharing]
        return list(dict.fromkeys(dependents))

    async def _former_targets(self, ref: Ref, at: Position) -> list[Ref]:
        """Every target that a resource referred to in the life that it had at a position: the read
        model has dropped those it no longer refers to, and their other referrers may still report
        it."""
        try:
            current = await self._commands.cache.current(ref)
        except Undecodable:
            return []
        if current is None:
            return []
        # the name may have begun another life since: then the whole history is read
        begin = current.life.moved(-1) if current.life <= at else BEGINNING
        try:
            history = await self._commands.log.read(ref, after=begin, up_to=at)
        except Undecodable:
            return sorted(targets_of(ref, current.spec))
        targets = set[Ref]()
        for each in history:
            match each.event:
                case Created(spec=spec):
                    targets = {*targets_of(ref, spec)}
                case Updated(spec=spec):
                    targets |= targets_of(ref, spec)
        return sorted(targets)


_SHARING_KINDS = {name: kinds for name, kind in KINDS.items() if (kinds := sharing_kinds(kind))}
_WATCHED = {name for name, kind in KINDS.items() if dependent_kinds(kind)} | set(_SHARING_KINDS)
