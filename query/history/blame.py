"""The event that set each field of the desired state. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from secaplane.model.document import encode
from secaplane.model.json_patch import pointers
from secaplane.model.shape import Json, Resource
from secaplane.query.history.entries import actor, comparable
from secaplane.readmodel.history_row import HistoryRow

FIELDS_MAX = 1000
FIELDS_BYTES_MAX = 4 * 1024 * 1024


class SetBy(NamedTuple):
    """The event that set a field, or with `or_before` the oldest that was looked at."""

    row: HistoryRow
    version: int
    or_before: bool = False


class Blame:
    """Goes through the events that wrote the desired state, from the newest to the oldest, and
    keeps those that set a field of the newest state as it is. A field in a list is known by its
    index."""

    def __init__(self, row: HistoryRow, resource: Resource) -> None:
        self._row, self._version = row, resource.version
        self._open = dict(pointers(comparable(resource)))
        self._order = tuple(self._open)
        self._found = dict[str, SetBy]()

    @property
    def complete(self) -> bool:
        return not self._open

    def older(self, row: HistoryRow, resource: Resource) -> None:
        """Take the state before: what it has not, the event after it has set."""
        state = dict(pointers(comparable(resource)))
        kept = {key: each for key, each in self._open.items() if state.get(key, _ABSENT) == each}
        self._set(self._open.keys() - kept.keys(), or_before=False)
        self._open, self._row, self._version = kept, row, resource.version

    def ended(self, *, whole: bool) -> list[tuple[str, SetBy]]:
        """The fields in the order of the state. `whole`: the life began with the oldest event."""
        self._set(self._open.keys(), or_before=not whole)
        self._open = {}
        return [(each, self._found[each]) for each in self._order]

    def _set(self, fields: Iterable[str], *, or_before: bool) -> None:
        for each in fields:
            self._found[each] = SetBy(self._row, self._version, or_before)


_ABSENT = object()


class BoundedFields:
    """The fields of an answer. Each repeats its event, whose actor may be large, and a spec may
    have 100,000 fields: beyond FIELDS_MAX or FIELDS_BYTES_MAX the answer has `fieldsMore`."""

    def __init__(self) -> None:
        self._items, self._bytes, self.full = list[bytes](), 0, False

    def append(self, pointer: str, by: SetBy) -> None:
        if len(self._items) == FIELDS_MAX or self._bytes >= FIELDS_BYTES_MAX:
            self.full = True
            return
        self._items.append(encode(shown_field(pointer, by)))
        self._bytes += len(self._items[-1])

    def answer(self, of: Json) -> bytes:
        more = b',"fieldsMore":true' if self.full else b""
        return b'{"of":%b,"fields":[%b]%b}' % (encode(of), b",".join(self._items), more)


def shown_field(pointer: str, by: SetBy) -> Json:
    shown: Json = {
        "pointer": pointer,
        "position": str(by.row.position),
        "time": by.row.time,
        "resourceVersion": by.version,
        "request": by.row.request,
        "actor": actor(by.row.actor),
    }
    return shown | ({"orBefore": True} if by.or_before else {})
