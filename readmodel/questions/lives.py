"""Lives in lists: below a parent, only what began in the parent's present life; and the uids that
the keys of secrets are bound to.

A parent contains nothing when its life ends, so a resource belongs to the present life of its
parent if it began after that life. Positions of two streams have no order, and a tenant may be in
another stream than what it contains: there, the uid of the tenant's life decides, which every event
carries. All other parents are in the stream of their children.
"""

from secaplane.kinds import KINDS, parents
from secaplane.model.shape import LifeIds, Ref

TENANT = "tenant"
_PARENT = """(
    select parent.{column} from resources as parent
    where parent.kind = '{kind}' and parent.path = regexp_replace($2, '/[^/]*$', '')
        and not parent.gone
)"""


def in_present_life(kind: str) -> str:
    """A condition on `resources as r` in a query whose $2 is the collection: the resource began in
    the present life of its parent. Nothing did below a parent that is gone. Empty for kinds without
    a parent, whose lists show every life."""
    collection = KINDS[kind].collection
    above = parents(Ref(kind, f"{collection}/-"))
    if not above:
        return ""
    parent = above[-1].kind
    if parent == TENANT:
        return f"and r.tenant = {_PARENT.format(column='uid', kind=parent)}"
    return f"and r.life > {_PARENT.format(column='life', kind=parent)}"


def life_ids(row: list[str] | None) -> LifeIds | None:
    """The value of the column below."""
    return None if row is None else LifeIds(*row)


def life_ids_column(kind: str) -> str:
    """A column of a SELECT from `resources as r`: the uids that open the secrets of the resource;
    null where its kind has none."""
    return f"{_IDS if KINDS[kind].has_secrets else 'null'}::text[]"


_IDS = "array[r.tenant, r.uid]"
