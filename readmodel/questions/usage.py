"""Queries of the tables `usage` and `specs`: what tenants have taken of their quotas, now or at a
position."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from secaplane.kinds.shares import QuotaShare
from secaplane.model.position import Position
from secaplane.model.shape import Json, Ref
from secaplane.readmodel.schema.resources import NEVER_ENDED

_decode = msgspec.json.Decoder(Json).decode


class UsageQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def taken(
        self, tenant: str, kinds: Sequence[str], at: Position | None = None
    ) -> list[QuotaShare]:
        """The shares of the resources that were not gone at a position, or are not gone now; added
        up by kind and SKU."""
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
        """The shares that one life took, gone or not, with the position of each change."""
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
        """The specs of some resources as they were at the position of a change.

        Positions of two streams have no order, so a spec of another stream counts if it is not
        younger than the change.
        """
        rows = await self._pool.fetch(
            """
            select wanted.kind, wanted.path, known.spec
            from unnest($1::text[], $2::text[]) as wanted (kind, path)
            cross join lateral (
                select spec from specs
                where kind = wanted.kind and path = wanted.path and case when stream = $4
                    then position <= $3
                    else time <= (
                        select min(time) from usage where stream = $4 and position = $3
                    ) end
                order by position desc limit 1
            ) as known
            """,
            [ref.kind for ref in refs],
            [ref.path for ref in refs],
            at.sequence,
            at.stream,
        )
        return {Ref(row[0], row[1]): _decode(row[2]) for row in rows}
