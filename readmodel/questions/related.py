"""Related resources, whole and in bounded batches: referrers of a target, children of a parent."""

from collections.abc import AsyncIterator, Sequence

from asyncpg import Pool

from secaplane.model.shape import Ref, Resource
from secaplane.readmodel.questions.resources import decode_resource

BATCH_MAX = 200


class RelatedQueries:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def referrers(
        self, targets: Sequence[Ref], kinds: Sequence[str]
    ) -> AsyncIterator[list[Resource]]:
        """The resources of some kinds that refer to one of some targets and are not gone."""
        ordered = sorted(set(targets))
        columns = [ref.kind for ref in ordered], [ref.path for ref in ordered]
        async for batch in self._batches(
            """
            select r.kind, r.path, r.resource from (
                select distinct l.kind, l.path
                from unnest($3::text[], $4::text[]) as wanted (kind, path)
                join links as l on l.target_kind = wanted.kind and l.target_path = wanted.path
                where l.kind = any($5) and (l.kind, l.path) > ($1, $2)
                order by l.kind, l.path limit $6
            ) as found join resources as r using (kind, path)
            where not r.gone order by r.kind, r.path
            """,
            *columns,
            list(kinds),
        ):
            yield batch

    async def children(self, parent: Ref, kinds: Sequence[str]) -> AsyncIterator[list[Resource]]:
        """The resources of some kinds that are contained in another one and are not gone."""
        async for batch in self._batches(
            """
            select kind, path, resource from resources
            where kind = any($5) and not gone and path > $3 and path < $4
                and (kind, path) > ($1, $2)
            order by kind, path limit $6
            """,
            f"{parent.path}/",
            f"{parent.path}0",  # 0 follows the slash, as in `questions.below`
            list(kinds),
        ):
            yield batch

    async def _batches(self, query: str, *arguments: object) -> AsyncIterator[list[Resource]]:
        after = ("", "")
        while rows := await self._pool.fetch(query, *after, *arguments, BATCH_MAX):
            yield [decode_resource(row[2]) for row in rows]
            after = (rows[-1][0], rows[-1][1])
