"""One row for each life of each resource: the fold of its events, and the document of a GET."""

from collections.abc import Sequence

import msgspec
from asyncpg import Pool

from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.events import RecordedEvent
from secaplane.model.shape import Ref, Resource
from secaplane.projector.columns import InsertRows, Row, TableChange
from secaplane.projector.folding import ProjectedEvent
from secaplane.readmodel.questions.resources import decode_resource
from secaplane.readmodel.schema.tables import Tx

KEY = {"kind": "text", "collection": "text", "name": "text", "life": "bigint"}
FIXED = {
    "stream": "text",
    "path": "text",
    "uid": "text",
    "tenant": "text",
    "created_by_system": "bool",
}
CHANGING = {
    "labels": "jsonb",
    "document": "text",
    "resource": "text",
    "position": "bigint",
    "terminating": "bool",
    "gone": "bool",
    "unsettled": "bool",
}
ON_CONFLICT = f"""
on conflict (kind, collection, name, life) do update set
    {", ".join(f"{column} = excluded.{column}" for column in CHANGING)}
"""
_encode = msgspec.json.Encoder().encode


class Resources:
    NAME = "resources"
    CHANGES: Sequence[TableChange] = (InsertRows(NAME, KEY | FIXED | CHANGING, ON_CONFLICT),)

    def rows(self, folded: Sequence[ProjectedEvent]) -> tuple[list[Row]]:
        """Only the last state of each life in the batch is written; lives that ended come first, so
        that the index of living resources has room for a name that is used again. A history that
        was closed before anything of it could be read has no row."""
        last = {(each.event.ref, each.resource.life): each for each in folded}
        last = {key: each for key, each in last.items() if each.resource.version}
        ended_first = sorted(last.values(), key=lambda each: not each.resource.gone)
        own = {each.event.position for each in folded if _created_by_system(each.event)}
        return ([_row(each, each.resource.life in own) for each in ended_first],)

    async def forget(self, tx: Tx, ref: Ref) -> None:
        await tx.execute("delete from resources where kind = $1 and path = $2", ref.kind, ref.path)


def _created_by_system(event: RecordedEvent) -> bool:
    """The life that begins with this event was created by the control plane itself."""
    actor = event.actor
    return isinstance(actor, Actor) and actor.sub == SYSTEM.sub and not actor.issuer


def _row(folded: ProjectedEvent, created_by_system: bool) -> Row:
    resource = folded.resource
    ref, life = resource.ref, resource.life
    return (
        *(ref.kind, ref.collection, ref.name, life.sequence),
        *(life.stream, ref.path, resource.uid, resource.tenant, created_by_system),
        _encode(resource.labels or {}).decode(),
        folded.document,
        _encode(resource).decode(),
        resource.position.sequence,
        resource.deleted_at is not None,
        resource.gone,
        KINDS[ref.kind].unsettled(resource),
    )


async def load(tx: Tx | Pool, events: Sequence[RecordedEvent]) -> dict[Ref, Resource]:
    """The latest life of each event's resource, gone or not."""
    rows = await tx.fetch(
        """
        select r.resource from unnest($1::text[], $2::text[], $3::text[]) as wanted (kind,
        collection, name) cross join lateral (
            select resource from resources
            where kind = wanted.kind and collection = wanted.collection and name = wanted.name
            order by life desc limit 1
        ) as r
        """,
        [each.ref.kind for each in events],
        [each.ref.collection for each in events],
        [each.ref.name for each in events],
    )
    return {resource.ref: resource for resource in (decode_resource(each[0]) for each in rows)}
