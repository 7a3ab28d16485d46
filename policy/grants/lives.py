"""Former lives of workspaces: a scope that names a workspace gives nothing in a later life of that
name, if the workspace was removed after the assignment was written. Pure."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec import UnsetType

from secaplane.model.position import Position
from secaplane.model.shape import Json, Moment, Ref, Resource

KINDS_OF_LIVES = ("workspace",)
RECENTLY_GONE_MAX = 10_000


class LivingResource(Protocol):
    """A workspace as the read model has it; the log has it as a `Resource`, also a gone one."""

    @property
    def ref(self) -> Ref: ...
    @property
    def former_end(self) -> Moment | UnsetType: ...


class FormerWorkspaces:
    """The end of the last former life of each workspace that is living now and had one. Notified by
    the watch (`policy.watch.PolicySubscriber`).

    Of a workspace that has just gone the end is known, too: until a new life begins, and of the
    last RECENTLY_GONE_MAX only. The new life's first event names the end of the former one.
    """

    def __init__(self, changed: Callable[[str], None]) -> None:
        """`changed` is called with the tenant of each change."""
        self._changed = changed
        self._ends: dict[str, dict[str, Moment]] = {}
        self._gone: OrderedDict[Ref, None] = OrderedDict()

    def reset(self, revision: Position) -> None:
        self._ends.clear()
        self._gone.clear()

    def update(
        self,
        resources: Iterable[LivingResource],
        revision: Position,
        *,
        undecodable: Iterable[Ref] = (),
    ) -> None:
        """Take the current state of workspaces; of one that cannot be decoded, the known end
        stays."""
        for each in resources:
            self._gone.pop(each.ref, None)
            if isinstance(each, Resource) and each.gone:
                self._gone[each.ref] = None
                self._replace(each.ref, Moment(each.position, each.time))
            else:
                former = each.former_end
                self._replace(each.ref, None if isinstance(former, UnsetType) else former)
        while len(self._gone) > RECENTLY_GONE_MAX:
            self._replace(self._gone.popitem(last=False)[0], None)

    def _replace(self, ref: Ref, end: Moment | None) -> None:
        tenant = ref.scope("tenants")
        ends = self._ends.get(tenant, {})
        if ends.get(ref.name) == end:
            return
        if end is not None:
            self._ends.setdefault(tenant, {})[ref.name] = end
        else:
            del ends[ref.name]
            if not ends:
                del self._ends[tenant]
        self._changed(tenant)

    def without_ended(self, tenant: str, scopes: Sequence[Json], written: Moment) -> Sequence[Json]:
        """The scopes of an assignment without workspaces that were removed after it was written. A
        scope of which nothing is left is left out as a whole."""
        ends = self._ends.get(tenant)
        if not ends:
            return scopes
        left = (_without_ended(scope, ends, written) for scope in scopes)
        return [scope for scope in left if scope is not None]


def _without_ended(scope: Json, ends: dict[str, Moment], written: Moment) -> Json | None:
    workspaces = scope.get("workspaces", ())
    kept = [each for each in workspaces if each not in ends or not written.before(ends[each])]
    if len(kept) == len(workspaces):
        return scope
    return scope | {"workspaces": kept} if kept else None
