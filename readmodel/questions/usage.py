"""What tenants have taken of what they may have: the questions asked of `usage`, and of how other
things then were."""

from collections.abc import Sequence
from typing import Any

import msgspec
from asyncpg import Pool

from secaplane.kinds.shares import QuotaShare
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from secaplane.readmodel.schema.tables import NEVER_ENDED


class _Document(msgspec.Struct, frozen=True):
    spec: dict[str, Any]


_decode = msgspec.json.Decoder(_Document).decode


class UsageQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> list[QuotaShare]:
        """What was not gone at a position, or is not gone now: by kind and SKU."""
        rows = await self._pool.fetch(
            """
            select kind, sku, sum(number)::bigint, sum(amount)::bigint from usage
            where tenant = $1 and kind = any($2) and until > $3 and position <= $3
                and ($4 = '' or stream = $4)
            group by kind, sku
            """,
            tenant,
            list(kinds),
            NEVER_ENDED - 1 if at is None else at.sequence,
            "" if at is None else at.stream,
        )
        return [QuotaShare(*row) for row in rows]

    async def changes(
        self, tenant: str, kind: str, *, life: Position, up_to: Position
    ) -> list[tuple[Position, QuotaShare]]:
        """What one life took, and when, whether it is gone by now or not."""
        for since in (NEVER_ENDED - 1, life.sequence):  # most live, and are found at once
            rows = await self._pool.fetch(
                """
                select position, kind, sku, number, amount from usage
                where tenant = $1 and kind = $2 and until > $3 and life = $4 and position <= $5
                    and stream = $6
                order by position
                """,
                tenant,
                kind,
                since,
                life.sequence,
                up_to.sequence,
                life.stream,
            )
            if rows:
                break
        return [(Position(life.stream, row[0]), QuotaShare(*row[1:])) for row in rows]

    async def specs(self, refs: Sequence[Ref], at: Position) -> dict[Ref, Json]:
        """What was wanted of some resources at a position."""
        rows = await self._pool.fetch(
            """
            select w.kind, w.path, h.document
            from unnest($1::text[], $2::text[]) as w (kind, path)
            cross join lateral (
                select document from history
                where kind = w.kind and path = w.path and case when stream = $4
                    then position <= $3
                    else time <= (select time from history where stream = $4 and position = $3) end
                order by position desc limit 1
            ) as h
            """,
            [ref.kind for ref in refs],
            [ref.path for ref in refs],
            at.sequence,
            at.stream,
        )
        return {Ref(row[0], row[1]): _decode(row[2]).spec for row in rows}
