"""Publishing the log of one stream: tiles first, then the signed checkpoint; and
opening it again, wherever the process before has ended."""

from collections.abc import Mapping

from secaplane.audit.merkle.proofs import root
from secaplane.audit.notary.growing_tree import GrowingTree, GrownTree
from secaplane.audit.notary.leaves import CommitmentChain, LifeHead
from secaplane.audit.notary.notary_log import HistoryChanged, HowChanged, NotaryLog
from secaplane.audit.notary.notary_state import (
    NotaryIdentity,
    NotaryState,
    read_state,
    write_state,
)
from secaplane.audit.notary.tile_folder import TileConflict, TileFolder
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote, sign, verified
from secaplane.audit.tlog.tile_tree import TileTree
from secaplane.audit.tlog.tiles import (
    ENTRIES,
    WIDTH,
    TileName,
    TilesDiffer,
    split,
    tile_holding,
)
from secaplane.model.position import Position

TRIES_MAX = 5
"""Tries of one checkpoint, while other notaries publish theirs."""
STATE_EVENTS_MIN = 256
"""Events between two times at which the heads are stored, where there are few lives."""


class Publisher:
    """Writes one log. Its methods block: call them in a thread, one at a time."""

    def __init__(self, folder: TileFolder, identity: NotaryIdentity, stream: str) -> None:
        self._folder, self._identity, self._stream = folder, identity, stream
        self._empty = TreeHead(identity.origin, 0, GrowingTree().root)
        self._published: TreeHead = self._empty
        """The newest head that this process has signed, or found and compared."""
        self._state_size = 0

    @property
    def published(self) -> TreeHead:
        return self._published

    def open(self) -> NotaryLog:
        """The log as it was published last.

        Raises:
            HistoryChanged: the stored files do not fit the checkpoint, or the checkpoint is older
                than the notary's own state.
        """
        with self._folder.locked():
            head = self._checkpoint()
            state = self._state(head)
            tree = self._tree(head)
            self._refuse_fork(state.head, head.size)
        self._published, self._state_size = head, state.head.size
        chain = CommitmentChain(self._stream, state.lives)
        entries = _StoredEntries(self._folder, self._stream, head.size)
        return NotaryLog(tree, chain, after=state.head.size, stored=entries.read)

    def from_the_beginning(self) -> NotaryLog:
        """The log as it was published last, to compare every event of it with the stream.

        Raises:
            HistoryChanged: the stored files do not fit the checkpoint.
        """
        with self._folder.locked():
            head = self._checkpoint()
            tree = self._tree(head)
        entries = _StoredEntries(self._folder, self._stream, head.size)
        return NotaryLog(tree, CommitmentChain(self._stream), after=0, stored=entries.read)

    def state_is_due(self, size: int, lives: int) -> bool:
        """True when the heads of all lives are to be stored again. A start reads at most about so
        many events again, and storing costs each event about one head."""
        return size - self._state_size >= max(STATE_EVENTS_MIN, lives)

    def publish(self, grown: GrownTree, lives: Mapping[str, LifeHead] | None = None) -> TreeHead:
        """Write tiles and a signed checkpoint, unless a checkpoint of this or a larger tree is
        there. `lives`: the heads at this size, to be stored.

        Returns the head that is published now.

        Raises:
            HistoryChanged: another history was published before.
            OSError: the disk or the bucket did not take it; publishing the same again is safe.
        """
        head = TreeHead(self._identity.origin, grown.size, grown.root)
        with self._folder.locked():
            try:
                self._folder.write_tiles(grown.files)
            except TileConflict as conflict:
                raise self._changed(conflict.first + 1, "changed", str(conflict)) from conflict
            larger = self._sign(head)
            if larger is not None:
                return larger
            self._published = head
            if lives is not None:
                state = NotaryState(head, lives)
                self._folder.write_state(write_state(self._identity, state))
                self._state_size = head.size
            self._remove_partial(grown)
        return head

    def _sign(self, head: TreeHead) -> TreeHead | None:
        """Write a signed checkpoint over the present one; the head of that if it is larger."""
        for _ in range(TRIES_MAX):
            before = self._folder.checkpoint()
            present = self._head(before)
            if present.size > head.size:
                return present
            if present != self._published:  # another process has published since
                self._refuse_fork(present, head.size)
            if self._folder.write_checkpoint(self._signed(head), before):
                return None
        raise OSError("other notaries have published a checkpoint at each try")

    def _signed(self, head: TreeHead) -> bytes:
        return sign(head.text, self._identity.signers).written.encode()

    def _checkpoint(self) -> TreeHead:
        """The published head, signed by this notary."""
        return self._head(self._folder.checkpoint())

    def _head(self, data: bytes | None) -> TreeHead:
        if data is None:
            return self._empty
        try:
            head, note = parse_checkpoint(data)
            if not verified(note, self._identity.verifiers) or head.origin != self._empty.origin:
                raise WrongNote("it is not signed by a key of this notary for this log")
        except WrongNote as error:
            raise self._changed(0, "changed", f"the stored checkpoint: {error}") from error
        return head

    def _state(self, head: TreeHead) -> NotaryState:
        data = self._folder.state()
        if data is None:
            return NotaryState(self._empty, {})
        try:
            state = read_state(self._identity, data)
        except WrongNote as error:
            raise self._changed(0, "changed", f"the notary's state: {error}") from error
        if state.head.size > head.size:
            raise self._changed(
                head.size + 1, "rolled back", "the checkpoint is older than the notary's state"
            )
        return state

    def _tree(self, head: TreeHead) -> GrowingTree:
        try:
            tree = GrowingTree.stored(self._folder.read, head.size)
        except TilesDiffer as error:
            raise self._changed(head.size, "changed", str(error)) from error
        if tree.root != head.root:
            raise self._changed(head.size, "changed", "the tiles have another root")
        return tree

    def _refuse_fork(self, before: TreeHead, size: int) -> None:
        """Raises HistoryChanged where a tree is not the beginning of the stored tree of a size."""
        try:
            begun = root(TileTree(self._folder.read, size).subtree, before.size)
        except TilesDiffer as error:
            raise self._changed(before.size, "changed", str(error)) from error
        if begun != before.root:
            raise self._changed(before.size, "forked", "another tree was signed before")

    def _changed(self, sequence: int, how: HowChanged, detail: str) -> HistoryChanged:
        return HistoryChanged(Position(self._stream, sequence), how, detail)

    def _remove_partial(self, grown: GrownTree) -> None:
        """Of the tile before each complete one: readers of a recent checkpoint still find those of
        the newest."""
        for name in grown.files:
            if name.width == WIDTH and name.number:
                self._folder.remove_partial(name._replace(number=name.number - 1))


class _StoredEntries:
    """The entries of a stored tree, read in order: one bundle is kept."""

    def __init__(self, folder: TileFolder, stream: str, size: int) -> None:
        self._folder, self._stream, self._size = folder, stream, size
        self._bundle: tuple[TileName, list[bytes]] | None = None

    def read(self, index: int) -> bytes:
        name, place = tile_holding(ENTRIES, index, self._size)
        try:
            if self._bundle is None or self._bundle[0] != name:
                self._bundle = name, split(self._folder.read(name), name.width)
        except TilesDiffer as error:
            position = Position(self._stream, index + 1)
            raise HistoryChanged(position, "changed", str(error)) from error
        return self._bundle[1][place]
