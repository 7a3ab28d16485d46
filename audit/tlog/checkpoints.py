"""Checkpoints of a log (c2sp.org/tlog-checkpoint): origin, size and root in a signed note. Pure."""

import base64
import re
from typing import NamedTuple

from secaplane.audit.merkle.hashing import HASH_BYTES
from secaplane.audit.tlog.signed_notes import SignedNote, WrongNote, decoded_base64, parse_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class TreeHead(NamedTuple):
    """The state of a log: `size` leaves under one root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text of the note."""
        lines = [self.origin, str(self.size), base64.b64encode(self.root).decode()]
        return "".join(f"{line}\n" for line in (*lines, *self.extensions))


class SignedCheckpoint(NamedTuple):
    """A tree head and the note that it is in, parsed and not verified."""

    head: TreeHead
    note: SignedNote


def parse_checkpoint(data: bytes) -> SignedCheckpoint:
    """A checkpoint from its bytes, not verified.

    Raises:
        WrongNote: the bytes are no checkpoint.
    """
    note = parse_note(data)
    return SignedCheckpoint(parse_tree_head(note.text), note)


def parse_tree_head(text: str) -> TreeHead:
    """The tree head in the text of a note.

    Raises:
        WrongNote: the text is malformed.
    """
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines):
        raise WrongNote("a checkpoint has at least three lines and no empty one")
    origin, size, encoded, *extensions = lines
    if _SIZE.fullmatch(size) is None:
        raise WrongNote("the size of the tree is malformed")
    try:
        root = decoded_base64(encoded)
    except ValueError as error:
        raise WrongNote(f"the root is malformed: {error}") from error
    if len(root) != HASH_BYTES:
        raise WrongNote("the root is not a SHA-256")
    return TreeHead(origin, int(size), root, tuple(extensions))
