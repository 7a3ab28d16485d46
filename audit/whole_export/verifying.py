"""Verification of the export of every stream: each event is compared with the tree of its stream,
and the root of each entry about heads with the heads that the events before it give."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from secaplane.audit.heads.recorded import HeadsEntry, heads_in
from secaplane.audit.notary.export_folder import bundles
from secaplane.audit.notary.verified_export import (
    SAVED_BUNDLES,
    Saved,
    TrustedFacts,
    VerifiedProgress,
    VerifiedStream,
)
from secaplane.audit.tlog.tiles import WIDTH, TilesDiffer
from secaplane.audit.whole_export.folded_heads import FoldedHeads
from secaplane.audit.whole_export.stream_verification import StreamVerification
from secaplane.eventlog.codec import Undecodable
from secaplane.model.position import Position

_AUDIT = "-audit"
"""Names of audit streams end like this (`audit.stream.stream_name`)."""


class VerifiedHistory(NamedTuple):
    """The result: of each stream, of the entries about heads, and what could not be seen."""

    streams: Sequence[VerifiedStream]
    heads: int
    """Entries about heads whose root is that of the events."""
    findings: Sequence[str]
    unseen: Sequence[str]


def verify_history(
    folders: Sequence[Path],
    trusted: TrustedFacts,
    *,
    progress: Mapping[str, VerifiedProgress],
    save: Saved,
) -> VerifiedHistory:
    """Verify the exports of some streams, each named by its folder. `progress`: by origin, where an
    earlier run ended."""
    return _HistoryVerification(folders, trusted, save).run(progress)


class _RecordedHeads(NamedTuple):
    """The audit stream that holds an entry about heads, and the entry."""

    stream: str
    entry: HeadsEntry

    @property
    def position(self) -> Position:
        return Position(self.stream, self.entry.sequence)


class _HistoryVerification:
    def __init__(self, folders: Sequence[Path], trusted: TrustedFacts, save: Saved) -> None:
        self._save = save
        self._streams = {each.name: StreamVerification(each, trusted) for each in folders}
        self._findings = list[tuple[str, str]]()
        """About heads, each with the stream that has the entry."""
        self._unseen = list[str]()
        self._heads: FoldedHeads | None = None
        self._done, self._good, self._bundles = 0, 0, 0
        """Entries that were looked at; those whose root is right; bundles that were verified."""
        self._reached = dict[str, int]()
        """By stream: the events that the newest entry is about."""

    def run(self, progress: Mapping[str, VerifiedProgress]) -> VerifiedHistory:
        entries = self._entries()
        self._begin(progress)
        for each in entries[: self._done]:
            self._reached.update(each.entry.facts.streams)
        for each in entries[self._done :]:
            self._compare(each)
            self._done += 1
        for stream in self._streams.values():
            self._advance(stream, stream.size, None)
        results = [each.result() for each in self._streams.values()]
        # what a stream that has changed says about heads is not what was recorded
        found = [text for name, text in self._findings if not self._streams[name].changed]
        return VerifiedHistory(results, self._good, found, self._unseen)

    def _begin(self, progress: Mapping[str, VerifiedProgress]) -> None:
        """Go on where an earlier run has ended, if it has ended at one point of all streams."""
        saved = dict[str, VerifiedProgress]()
        for name, each in self._streams.items():
            known = progress.get(each.head.origin) if each.head is not None else None
            if known is not None and each.head is not None and known.root == each.head.root:
                saved[name] = known
        together = {each.heads for each in saved.values()}
        if len(saved) < len(self._streams) or len(together) != 1 or together == {-1}:
            saved = {}
        else:
            (self._done,) = together
            self._good = self._done
        begun = {name: each.begin(saved.get(name)) for name, each in self._streams.items()}
        self._heads = FoldedHeads({name: x.lives if x else {} for name, x in begun.items()})

    def _entries(self) -> list[_RecordedHeads]:
        """The entries about heads, in the order of the events that they are about: two processes
        may record theirs in another order than the notary has computed them."""
        made = list[_RecordedHeads]()
        for stream in self._streams.values():
            if stream.stream.endswith(_AUDIT):
                made += self._entries_in(stream)
        return sorted(made, key=lambda each: (sum(each.entry.facts.streams.values()), each))

    def _entries_in(self, stream: StreamVerification) -> Iterator[_RecordedHeads]:
        """Not verified yet. What cannot be read is found when the events are compared."""
        for number in range(bundles(stream.size)):
            try:
                events = stream.export.events(number)
            except TilesDiffer:
                return
            for at, event in enumerate(events, number * WIDTH + 1):
                try:
                    facts = heads_in(event) if event is not None else None
                except Undecodable as error:
                    position = Position(stream.stream, at)
                    text = f"{position} is wrong: its heads cannot be read: {error}"
                    self._findings.append((stream.stream, text))
                    continue
                if facts is not None:
                    yield _RecordedHeads(stream.stream, HeadsEntry(at, facts))

    def _compare(self, recorded: _RecordedHeads) -> None:
        """Compare an entry with the heads of the events that it is about."""
        facts, position = recorded.entry.facts, recorded.position
        for name, size in facts.streams.items():
            if name not in self._streams:
                self._find(recorded, f"{name} is missing: {position} is about its heads")
                return
            if size > self._streams[name].size:
                cut = Position(name, self._streams[name].size + 1)
                self._find(recorded, f"{cut} is cut: {position} is about {size} events")
                return
        if any(size < self._reached.get(name, 0) for name, size in facts.streams.items()):
            self._unseen.append(f"{position} is about events in another order than other entries")
            return
        for name, size in facts.streams.items():
            self._advance(self._streams[name], size, self._heads)
            self._reached[name] = size
        if any(each.changed or each.head is None for each in self._streams.values()):
            return
        assert self._heads is not None
        root, size = self._heads.root(facts.streams)
        if (root, size) != (facts.root, facts.size):
            detail = "its root of heads is not that of the events"
            self._find(recorded, f"{position} is wrong: {detail}")
        else:
            self._good += 1

    def _find(self, recorded: _RecordedHeads, text: str) -> None:
        self._findings.append((recorded.stream, text))

    def _advance(self, stream: StreamVerification, size: int, heads: FoldedHeads | None) -> None:
        for _ in stream.advance(size, heads):
            self._bundles += 1
            if self._bundles % SAVED_BUNDLES == 0:
                self._save_states()

    def _save_states(self) -> None:
        """Nothing is saved after a finding, which a later run would not find again."""
        states = [each.progress(self._done) for each in self._streams.values()]
        known = [each for each in states if each is not None]
        if len(known) == len(states) and not self._findings and not self._unseen:
            self._save(known)
