"""Status fields that followed from other resources as of then: computed from what those were then,
as a present read computes them from rows (`readmodel.questions.derived`)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from secaplane.kinds import KINDS, children
from secaplane.kinds.references import targets_of
from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref, Resource
from secaplane.query.history.lives import decode_resource
from secaplane.readmodel.questions import history
from secaplane.readmodel.questions.derived import ATTACHED_TO, THROUGH
from secaplane.readmodel.questions.history import AsOf
from secaplane.readmodel.schema.tables import Tx

SCANNED_BYTES_MAX = 16 * 1024 * 1024
"""Instances and NICs that are read to find those that used a resource."""
TOO_MANY = "too many instances used resources here then; GET one resource by its name"


class Derived(NamedTuple):
    attached: str | None = None
    """Path of the instance."""
    contained: int | None = None


async def derived(tx: Tx, refs: Sequence[Ref], as_of: AsOf) -> dict[Ref, Derived]:
    """The derived fields of resources of one kind in one collection that were not gone, in the
    order of their names; none for a kind without such fields."""
    if not refs:
        return {}
    shows = KINDS[refs[0].kind].derived
    if shows.resource_count:
        counts = await history.counts_within(tx, _INSIDE, refs, as_of)
        return {each: Derived(contained=counts[each.name]) for each in refs}
    if not shows.attached_to:
        return {}
    attached = await _attached(tx, refs, as_of)
    return {each: Derived(attached=attached.get(each)) for each in refs}


_INSIDE = [each.name for each in children(KINDS["workspace"])]
assert [k.name for k in KINDS.values() if k.derived.resource_count] == ["workspace"]


async def _attached(tx: Tx, refs: Sequence[Ref], as_of: AsOf) -> dict[Ref, str]:
    """Of each resource, the oldest instance of its workspace that refers to it, or to a NIC that
    does."""
    place = Ref("workspace", "/".join(refs[0].path.split("/")[:4]))
    tenant = "/".join(refs[0].path.split("/")[:2])
    read = _BoundedReader(tx, as_of)
    name = refs[0].name if len(refs) == 1 else ""
    searched = frozenset(refs)
    users = dict[Ref, set[Ref]]()
    """A resource, or a NIC that refers to one -> the resources."""
    for each in refs:
        users[each] = {each}
    for nic in await read.referring(THROUGH, tenant, searched.intersection, name):
        users.setdefault(nic.ref, set()).update(
            searched.intersection(targets_of(nic.ref, nic.spec))
        )
    whole = name if len(users) == len(refs) else ""
    instances = await read.referring(ATTACHED_TO, place.path, users.keys().__and__, whole)
    attached = dict[Ref, str]()
    for instance in sorted(instances, key=lambda found: found.life.sequence):
        for target in targets_of(instance.ref, instance.spec):
            for used in users.get(target, ()):
                attached.setdefault(used, instance.ref.path)
    return attached


class _BoundedReader:
    """Reads resources as of then, at most SCANNED_BYTES_MAX."""

    def __init__(self, tx: Tx, as_of: AsOf) -> None:
        self._tx, self._as_of, self._bytes = tx, as_of, 0

    async def referring(
        self, kind: str, below: str, chosen: Callable[[frozenset[Ref]], object], containing: str
    ) -> list[Resource]:
        """The resources of a kind that refer to one that is chosen. A reference has the name of its
        target in it, so that the database can leave out others (`containing`)."""
        found = list[Resource]()
        rows = history.living_within(self._tx, kind, below, self._as_of, containing=containing)
        async for row in rows:
            self._bytes += len(row.resource)
            if self._bytes > SCANNED_BYTES_MAX:
                raise Unavailable(TOO_MANY)
            resource = decode_resource(row.resource)
            if chosen(targets_of(resource.ref, resource.spec)):
                found.append(resource)
        return found
