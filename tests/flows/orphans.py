"""Checks, from the log alone and event by event, that no child outlives its parent.

Of the product's own rules it uses only the addresses: which resource contains which.
"""

from collections import defaultdict
from collections.abc import Collection

from secaplane.kinds import parents
from secaplane.model.actor import SYSTEM
from secaplane.model.events import Created, Deleted, DeletionRequested, RecordedEvent
from secaplane.model.shape import Ref


class OrphanCheck:
    """Applies every event of the log, from its beginning."""

    def __init__(self, cascades: Collection[tuple[str, str]]) -> None:
        self._cascades = cascades
        self.living: set[Ref] = set()
        self.terminating: set[Ref] = set()
        self.orphans: dict[Ref, RecordedEvent] = {}
        """Created in a parent that was terminating or gone, and not reverted yet."""
        self.intents: dict[str, RecordedEvent] = {}
        """By request id; intents that were reverted are not among them."""
        self.reverted = 0
        self.violations: list[str] = []
        self._children: defaultdict[Ref, set[Ref]] = defaultdict(set)
        self._parents: dict[Ref, list[Ref]] = {}

    def apply(self, recorded: RecordedEvent) -> None:
        match recorded.event:
            case Created():
                self._created(recorded)
            case DeletionRequested():
                self._deletion_requested(recorded)
            case Deleted():
                self._deleted(recorded)

    def _created(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        containing = parents(ref)
        if ref in self.living or ref in self.terminating:
            self._violation(recorded, "exists already")
        self.living.add(ref)
        self._parents[ref] = containing
        for parent in containing:
            self._children[parent].add(ref)
        if self.living.issuperset(containing):
            self.intents[recorded.request] = recorded
        else:
            self.orphans[ref] = recorded

    def _deletion_requested(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        if ref in self.living:
            staying = [
                child
                for child in self._children[ref] & self.living
                if (ref.kind, child.kind) not in self._cascades
            ]
            if staying:
                self._violation(recorded, f"still contains {staying}")
            self.living.remove(ref)
            self.terminating.add(ref)
        orphan = self.orphans.pop(ref, None)
        if orphan is None:
            self.intents[recorded.request] = recorded
        else:
            self.reverted += 1
            if recorded.actor != SYSTEM or recorded.cause != orphan.position:
                self._violation(recorded, "reverts an orphan without naming it as its cause")

    def _deleted(self, recorded: RecordedEvent) -> None:
        ref = recorded.ref
        if ref not in self.terminating:
            self._violation(recorded, "was not terminating")
        if remaining := [*self._children.pop(ref, ())]:
            self._violation(recorded, f"still contains {remaining}")
        self.terminating.discard(ref)
        for parent in self._parents.pop(ref, ()):
            self._children[parent].discard(ref)

    def _violation(self, recorded: RecordedEvent, what: str) -> None:
        self.violations.append(
            f"{recorded.position} {type(recorded.event).__name__}: {recorded.ref} {what}"
        )

    @property
    def without_parent(self) -> list[Ref]:
        """Living resources that have a parent which is not living."""
        return [ref for ref in self.living if not self.living.issuperset(self._parents[ref])]
