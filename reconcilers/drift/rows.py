"""The rows that the scan for drift reads."""

from collections.abc import Sequence
from typing import Protocol

from asyncpg import Pool

from secaplane.model.shape import Ref, Resource
from secaplane.readmodel import questions
from secaplane.readmodel.questions import settled

PAGE_MAX = 500
"""Addresses of one page."""


class ScannedRows(Protocol):
    """Resources of the kinds that are compared. Every method raises whatever the database does."""

    async def count(self) -> int:
        """Those that are not gone, settled or not."""
        ...

    async def settled_after(self, ref: Ref) -> Sequence[Ref]:
        """A page of the settled ones after an address, in the order of (kind, path); empty after
        the last one."""
        ...

    async def resources_at(self, refs: Sequence[Ref]) -> Sequence[Resource]:
        """Those of some resources that are not gone."""
        ...


class SettledRows:
    """The rows of the read model."""

    def __init__(self, pool: Pool, kinds: Sequence[str]) -> None:
        self._pool, self._kinds = pool, kinds

    async def count(self) -> int:
        return await settled.living_count(self._pool, self._kinds)

    async def settled_after(self, ref: Ref) -> Sequence[Ref]:
        return await settled.settled_after(self._pool, self._kinds, ref, limit=PAGE_MAX)

    async def resources_at(self, refs: Sequence[Ref]) -> Sequence[Resource]:
        return [*(await questions.resources_at(self._pool, refs)).values()]
