"""The state of a notary beside its log: the head of every tenant life at a size of the tree. Pure.

It saves reading a stream from its beginning at every start. The notary signs it, because a changed
head would change every later leaf of its life.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from secaplane.audit.notary.leaves import LifeHead
from secaplane.audit.tlog.checkpoints import TreeHead, parse_tree_head
from secaplane.audit.tlog.signed_notes import (
    Ed25519Verifier,
    NoteSigner,
    WrongNote,
    parse_note,
    sign,
    verified,
)
from secaplane.eventlog.codec import NOT_JSON

_HEADER = "secaplane/notary-state/v1"


class NotaryIdentity(NamedTuple):
    """The origin of a log and its signing keys; several while keys are rotated."""

    origin: str
    signers: Sequence[NoteSigner]

    @property
    def verifiers(self) -> list[Ed25519Verifier]:
        return [Ed25519Verifier(each.public) for each in self.signers]


class NotaryState(NamedTuple):
    head: TreeHead
    lives: Mapping[str, LifeHead]


class _File(msgspec.Struct, frozen=True):
    note: str
    lives: msgspec.Raw


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_File).decode
_decode_lives = msgspec.json.Decoder(dict[str, LifeHead]).decode


def write_state(identity: NotaryIdentity, state: NotaryState) -> bytes:
    lives = _encode(state.lives)
    text = f"{_HEADER}\n{state.head.text}{_digest(lives)}\n"
    return _encode(_File(sign(text, identity.signers).written, msgspec.Raw(lives)))


def read_state(identity: NotaryIdentity, data: bytes) -> NotaryState:
    """The state in a file.

    Raises:
        WrongNote: malformed, of another log, or not signed by this notary.
    """
    try:
        file = _decode(data)
        note, lives = parse_note(file.note.encode()), bytes(file.lives)
        if not verified(note, identity.verifiers):
            raise WrongNote("not signed by this notary")
        head = parse_tree_head(note.text.removeprefix(f"{_HEADER}\n"))
        if head.extensions != (_digest(lives),) or head.origin != identity.origin:
            raise WrongNote("of another log, or with other lives than were signed")
        return NotaryState(head._replace(extensions=()), _decode_lives(lives))
    except NOT_JSON as error:
        raise WrongNote(f"malformed: {error}") from error


def _digest(lives: bytes) -> str:
    return base64.b64encode(hashlib.sha256(lives).digest()).decode()
