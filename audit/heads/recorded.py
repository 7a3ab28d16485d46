"""Entries about heads among the events of the audit stream. Pure."""

from typing import NamedTuple

from secaplane.audit.entries import HEADS_SUBJECT, HeadsFacts, decode
from secaplane.audit.notary.verification import StoredEvent
from secaplane.eventlog.codec import Undecodable


class HeadsEntry(NamedTuple):
    """An entry of the audit stream about heads."""

    sequence: int
    facts: HeadsFacts


def heads_in(event: StoredEvent) -> HeadsFacts | None:
    """The heads in an event; None of an event that is about anything else.

    Raises:
        Undecodable: it is about heads and cannot be read.
    """
    if event.subject != HEADS_SUBJECT:
        return None
    facts = decode(event.data).heads
    if not isinstance(facts, HeadsFacts):
        raise Undecodable("the entry is not about heads")
    return facts


class HeadsSeen:
    """The number of events of each stream that some entries about heads are about."""

    def __init__(self) -> None:
        self.sizes = dict[str, int]()

    def take(self, event: StoredEvent) -> None:
        """Take the next event; one that cannot be read is for a verifier to find."""
        try:
            facts = heads_in(event)
        except Undecodable:
            return
        for stream, size in (facts.streams if facts else {}).items():
            self.sizes[stream] = max(size, self.sizes.get(stream, 0))
