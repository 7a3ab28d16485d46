"""The verification of one stream of an export, which advances as far as it is asked to: the heads
of all streams at one time are needed together."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.notary.leaves import CommitmentChain
from secaplane.audit.notary.notary_log import HistoryChanged
from secaplane.audit.notary.verification import AuthenticatedTiles, EventVerifier, StoredEvent
from secaplane.audit.notary.verified_export import (
    FOREIGN_MAX,
    TrustedFacts,
    VerifiedProgress,
    VerifiedStream,
    trusted_head,
)
from secaplane.audit.timestamps.folder import (
    BYTES_MAX,
    CHECKPOINT,
    TOKEN,
    stamp_path,
    stamped_size,
    stamped_sizes,
)
from secaplane.audit.timestamps.folder import FOLDER as TIMESTAMPS
from secaplane.audit.timestamps.tokens import WrongTimestamp
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import WIDTH, TilesDiffer
from secaplane.audit.whole_export.folded_heads import FoldedHeads
from secaplane.model.position import Position


class StreamVerification:
    """`head` is None, and nothing more is verified, where the checkpoint is not trusted."""

    def __init__(self, folder: Path, trusted: TrustedFacts) -> None:
        self.stream, self.export = folder.name, ExportFolder(folder)
        self.head: TreeHead | None = None
        self.changed = False
        """An event is not what the tree says: no further one is compared."""
        self._findings, self._verified, self._folded = list[str](), 0, 0
        self._stamps, self._unverified = list[str](), 0
        self._verifier: EventVerifier | None = None
        self._held: list[StoredEvent | None] = []
        """The events of the newest bundle, while only some of them are folded."""
        self._before_held: VerifiedProgress | None = None
        try:
            self.head = trusted_head(self.export, trusted)
        except WrongNote as error:
            self._findings.append(f"the checkpoint is not trusted: {error}")
            return
        self._findings += _foreign(self.export, self.head.size)
        try:
            self._tiles = AuthenticatedTiles(self.export.read, self.head, folder.name)
            for seen in trusted.seen:
                if seen.origin == self.head.origin:
                    self._tiles.refuse_another_beginning(seen)
            self._verify_stamps(trusted)
        except HistoryChanged as error:
            self._fail(error)

    @property
    def size(self) -> int:
        return self.head.size if self.head is not None else 0

    def begin(self, saved: VerifiedProgress | None) -> VerifiedProgress | None:
        """Begin, or go on where an earlier run has ended; the state with which this begins, None
        where nothing can be verified."""
        if self.head is None or self.changed:
            return None
        before = saved or VerifiedProgress(self.head.origin, self.head.root, 0, {}, 0, 0, 0)
        chain = CommitmentChain(self.stream, before.lives)
        self._verifier = EventVerifier(self._tiles, self.export.read, chain)
        self._verifier.lost, self._verifier.first_lost = before.lost, before.first_lost
        self._verified = self._folded = min(self.size, before.bundles * WIDTH)
        return before

    def advance(self, size: int, heads: FoldedHeads | None) -> Iterator[None]:
        """Verify the events up to a sequence, and fold exactly these into the heads; yields after
        each bundle. Ends where an event is wrong."""
        self._fold_held(size, heads)
        while self._verified < size and not self.changed and self._verifier is not None:
            number = self._verified // WIDTH
            end = min(self.size, (number + 1) * WIDTH)
            before = self.progress(0) if end > size else None
            try:
                events = self._events(number)
                moved = self._verifier.verify_bundle(number, events)
            except HistoryChanged as error:
                self._fail(error)
                return
            self._verified = end
            if heads is None:
                self._folded = end
            elif end <= size:
                heads.adopt(self.stream, moved)
                self._folded = end
            else:
                self._held, self._before_held = events, before
                self._fold_held(size, heads)
            yield

    def progress(self, heads: int) -> VerifiedProgress | None:
        """The state with which a later run can go on: at the beginning of a bundle of which only
        some events are folded. `heads`: the number of entries about heads that were compared."""
        if self._verifier is None or self.head is None or self.changed:
            return None
        if self._before_held is not None:
            held = self._before_held
            return VerifiedProgress(
                held.origin, held.root, held.bundles, held.lives, held.lost, held.first_lost, heads
            )
        lives, done = dict(self._verifier.chain.heads), bundles(self._verified)
        lost, first = self._verifier.lost, self._verifier.first_lost
        return VerifiedProgress(self.head.origin, self.head.root, done, lives, lost, first, heads)

    def result(self) -> VerifiedStream:
        findings, verifier = [*self._findings], self._verifier
        if verifier is not None and verifier.lost:
            first = Position(self.stream, verifier.first_lost)
            findings.append(f"{verifier.lost} events are declared lost, the first is {first}")
        stamps, left = self._stamps, self._unverified
        return VerifiedStream(self.stream, self.head, self._verified, findings, stamps, left)

    def _verify_stamps(self, trusted: TrustedFacts) -> None:
        """Each stamped checkpoint is one of this tree, and an authority has signed its time.

        Raises:
            HistoryChanged: a stamped checkpoint is of another history.
        """
        assert self.head is not None
        for size in stamped_sizes(self.export.names(TIMESTAMPS)):
            if size > self.size:
                continue  # foreign
            try:
                checkpoint, token = (
                    self.export.read_file(stamp_path(size, kind), BYTES_MAX[kind])
                    for kind in (CHECKPOINT, TOKEN)
                )
                head = parse_checkpoint(checkpoint).head
                if (head.origin, head.size) != (self.head.origin, size):
                    raise WrongNote(f"the checkpoint is of {head.size} events of {head.origin}")
                self._tiles.refuse_another_beginning(head)
                if trusted.verify_token is None:
                    self._unverified += 1
                else:
                    time = trusted.verify_token(token, checkpoint).isoformat()
                    self._stamps.append(f"{self.stream}: {size} events existed at {time}")
            except (TilesDiffer, WrongNote, WrongTimestamp) as error:
                self._findings.append(f"the time stamp on {size} events is wrong: {error}")

    def _fail(self, error: HistoryChanged) -> None:
        self.changed = True
        self._findings.insert(0, str(error))

    def _fold_held(self, size: int, heads: FoldedHeads | None) -> None:
        end = min(size, self._verified)
        if not self._held or end <= self._folded:
            return
        begin = (self._verified - 1) // WIDTH * WIDTH
        part = self._held[self._folded - begin : end - begin]
        if heads is not None:
            heads.take(self.stream, (each for each in part if each is not None))
        self._folded = end
        if end == self._verified:
            self._held, self._before_held = [], None

    def _events(self, number: int) -> list[StoredEvent | None]:
        try:
            return self.export.events(number)
        except TilesDiffer as error:
            position = Position(self.stream, number * WIDTH + 1)
            raise HistoryChanged(position, "missing", str(error)) from error


def _foreign(export: ExportFolder, size: int) -> Sequence[str]:
    """Every file that the log does not have is named, of very many the first ones."""
    foreign = (each for each in export.foreign(size) if not _is_stamp(export, each, size))
    named = list(islice(foreign, FOREIGN_MAX + 1))
    findings = [f"{path} is foreign: the log has no such file" for path in named[:FOREIGN_MAX]]
    return findings + (["more files are foreign"] if len(named) > FOREIGN_MAX else [])


def _is_stamp(export: ExportFolder, path: str, size: int) -> bool:
    """True for a part of a time stamp on a checkpoint of the log; a link is none."""
    stamped, link = stamped_size(path), (export.folder / path).is_symlink()
    return stamped is not None and stamped <= size and not link
