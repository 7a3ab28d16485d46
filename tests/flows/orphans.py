"""Whether ever a child lived where its parent did not: judged from the log alone, event by event.

Nothing of the house's own rules is used here but the addresses: who lies in what.
"""

from collections import defaultdict
from collections.abc import Collection

from secaplane.kinds import parents
from secaplane.model.events import SYSTEM, Created, Deleted, DeletionRequested, RecordedEvent
from secaplane.model.shape import Ref


class Judge:
    """Follows the whole log from its beginning."""

    def __init__(self, cascades: Collection[tuple[str, str]]) -> None:
        self._cascades = cascades
        self.living: set[Ref] = set()
        self.terminating: set[Ref] = set()
        self.orphans: dict[Ref, RecordedEvent] = {}
        """Created in what was going or gone already, and not taken back yet."""
        self.intents: dict[str, RecordedEvent] = {}
        """By request, those that hold: what was taken back is not among them."""
        self.taken_back = 0
        self.wrongs: list[str] = []
        self._inside: defaultdict[Ref, set[Ref]] = defaultdict(set)
        self._above: dict[Ref, list[Ref]] = {}

    def sees(self, recorded: RecordedEvent) -> None:
        match recorded.event:
            case Created():
                self._created(recorded)
            case DeletionRequested():
                self._deletion_requested(recorded)
            case Deleted():
                self._deleted(recorded)

    def _created(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        above = parents(ref)
        if ref in self.living or ref in self.terminating:
            self._wrong(recorded, "is there already")
        self.living.add(ref)
        self._above[ref] = above
        for parent in above:
            self._inside[parent].add(ref)
        if self.living.issuperset(above):
            self.intents[recorded.request] = recorded
        else:
            self.orphans[ref] = recorded

    def _deletion_requested(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        if ref in self.living:
            staying = [
                child
                for child in self._inside[ref] & self.living
                if (ref.kind, child.kind) not in self._cascades
            ]
            if staying:
                self._wrong(recorded, f"holds {staying}")
            self.living.remove(ref)
            self.terminating.add(ref)
        orphan = self.orphans.pop(ref, None)
        if orphan is None:
            self.intents[recorded.request] = recorded
        else:
            self.taken_back += 1
            if recorded.actor != SYSTEM or recorded.cause != orphan.position:
                self._wrong(recorded, "takes an orphan back and does not say so")

    def _deleted(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        if ref not in self.terminating:
            self._wrong(recorded, "was not to go")
        if left := [*self._inside.pop(ref, ())]:
            self._wrong(recorded, f"still holds {left}")
        self.terminating.discard(ref)
        for parent in self._above.pop(ref, ()):
            self._inside[parent].discard(ref)

    def _wrong(self, recorded: RecordedEvent, what: str) -> None:
        self.wrongs.append(
            f"{recorded.position} {type(recorded.event).__name__}: {recorded.ref} {what}"
        )

    @property
    def homeless(self) -> list[Ref]:
        """What lives and whose parents do not."""
        return [ref for ref in self.living if not self.living.issuperset(self._above[ref])]
