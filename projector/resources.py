"""One row for each life of each resource of any kind: the fold, kept, and the answer to a GET."""

from collections.abc import Iterable, Sequence

import msgspec
from asyncpg import Pool

from kinds import KINDS
from model.document import document
from model.events import RecordedEvent
from model.evolve import evolve
from model.shape import Ref, Resource
from readmodel.questions import decode_resource
from readmodel.tables import Tx

NAME = "resources"
_encode = msgspec.json.Encoder().encode


class Folded(msgspec.Struct, frozen=True):
    """An event, and its resource with the document right after it."""

    event: RecordedEvent
    resource: Resource
    document: str


def fold(known: dict[Ref, Resource], events: Sequence[RecordedEvent], region: str) -> list[Folded]:
    """Every event on top of what is known; `known` holds the last of each afterwards."""
    folded = []
    for event in events:
        resource = known[event.ref] = evolve(known.get(event.ref), event)
        shown = document(KINDS[event.ref.kind], resource, region=region)
        folded.append(Folded(event, resource, _encode(shown).decode()))
    return folded


COLUMNS = {
    "kind": "text",
    "collection": "text",
    "name": "text",
    "life": "bigint",
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


def rows(folded: Sequence[Folded]) -> list[tuple[object, ...]]:
    """Only the last state of each life in the batch is written; lives that ended come first, so
    that a name used again finds its place free."""
    last = {(each.event.ref, each.resource.life): each for each in folded}
    return [row(each) for each in sorted(last.values(), key=lambda each: not each.resource.gone)]


def row(folded: Folded) -> tuple[object, ...]:
    resource = folded.resource
    ref = resource.ref
    return (
        ref.kind,
        ref.collection,
        ref.name,
        resource.life,
        ref.path,
        resource.uid,
        _encode(resource.labels or {}).decode(),
        folded.document,
        _encode(resource).decode(),
        resource.position,
        resource.deleted_at is not None,
        resource.gone,
        KINDS[ref.kind].unfinished(resource),
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
