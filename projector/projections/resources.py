"""One row for each life of each resource of any kind: the fold, kept, and the answer to a GET."""

from collections.abc import Iterable, Sequence

import msgspec
from asyncpg import Pool

from secaplane.kinds import KINDS
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import InsertRows, Row
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.questions.resources import decode_resource
from secaplane.readmodel.schema.tables import Tx

NAME = "resources"
_encode = msgspec.json.Encoder().encode


COLUMNS = {
    "kind": "text",
    "collection": "text",
    "name": "text",
    "life": "bigint",
    "stream": "text",
    "path": "text",
    "uid": "text",
    "labels": "text",
    "document": "text",
    "resource": "text",
    "position": "bigint",
    "deleted": "bool",
    "gone": "bool",
    "unfinished": "bool",
}
ON_CONFLICT = """
on conflict (kind, collection, name, life) do update set
    labels = excluded.labels, document = excluded.document, resource = excluded.resource,
    position = excluded.position, deleted = excluded.deleted, gone = excluded.gone,
    unfinished = excluded.unfinished
"""


PARTS = (InsertRows(NAME, COLUMNS, ON_CONFLICT),)


def rows(folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
    """Only the last state of each life in the batch is written; lives that ended come first, so
    that a name used again finds its place free."""
    last = {(each.event.ref, each.resource.life): each for each in folded}
    ended_first = sorted(last.values(), key=lambda each: not each.resource.gone)
    return ([row(each) for each in ended_first],)


def row(folded: ProjectedEvent) -> Row:
    resource = folded.resource
    ref = resource.ref
    return (
        ref.kind,
        ref.collection,
        ref.name,
        resource.life.sequence,
        resource.life.stream,
        ref.path,
        resource.uid,
        _encode(resource.labels or {}).decode(),
        folded.document,
        _encode(resource).decode(),
        resource.position.sequence,
        resource.deleted_at is not None,
        resource.gone,
        KINDS[ref.kind].unsettled(resource),
    )


async def latest(tx: Tx | Pool, refs: Iterable[Ref]) -> dict[Ref, Resource]:
    """The latest life of each as its row has it, gone or not."""
    wanted = list(refs)
    found = await tx.fetch(
        """
        select r.resource from unnest($1::text[], $2::text[], $3::text[]) as w (kind, collection,
        name) cross join lateral (
            select resource from resources
            where kind = w.kind and collection = w.collection and name = w.name
            order by life desc limit 1
        ) as r
        """,
        [ref.kind for ref in wanted],
        [ref.collection for ref in wanted],
        [ref.name for ref in wanted],
    )
    return {resource.ref: resource for resource in (decode_resource(each[0]) for each in found)}


async def forget(tx: Tx, ref: Ref) -> None:
    await tx.execute("delete from resources where kind = $1 and path = $2", ref.kind, ref.path)
