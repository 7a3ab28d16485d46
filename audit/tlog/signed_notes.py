"""Signed notes (c2sp.org/signed-note): a text and signature lines. Pure.

    — <key name> base64(32-bit key id || signature)

A key name and a key id together identify a key and its algorithm. Signatures of unknown keys are
ignored; a wrong signature of a known key makes the whole note invalid. So does a line in which the
name or the id of a known key was changed.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ED25519 = 0x01
DASH = "\N{EM DASH} "
SIGNATURES_MAX = 100
NOTE_BYTES_MAX = 1_000_000
PRIVATE = "PRIVATE+KEY+"
"""Begins the text of a signing key."""
SEED_BYTES = 32
_KEY_ID_BYTES = 4


class WrongNote(Exception):
    """A text that is no signed note, or a note without the signatures that it needs."""


class NoteSignature(NamedTuple):
    """One signature line, not verified."""

    name: str
    key_id: bytes
    signature: bytes

    @property
    def line(self) -> str:
        encoded = base64.b64encode(self.key_id + self.signature).decode()
        return f"{DASH}{self.name} {encoded}\n"


class SignedNote(NamedTuple):
    """A note that was parsed, not verified. `text` ends with a newline."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @property
    def written(self) -> str:
        return f"{self.text}\n{''.join(each.line for each in self.signatures)}"


class NoteVerifier(Protocol):
    """A public key that verifies one kind of signature line."""

    @property
    def name(self) -> str: ...

    @property
    def key_id(self) -> bytes: ...

    def verify(self, text: str, signature: bytes) -> bool:
        """True if the signature belongs to the text."""
        ...


class PublicKey(NamedTuple):
    """A key as its text names it (a vkey): `name+<key id in hex>+base64(algorithm || key)`."""

    name: str
    algorithm: int
    key: bytes

    @property
    def key_id(self) -> bytes:
        return key_id(self.name, self.algorithm, self.key)

    @property
    def text(self) -> str:
        encoded = base64.b64encode(bytes([self.algorithm]) + self.key).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"


class Ed25519Verifier:
    """Verifies signatures of the type ED25519: over the text of a note."""

    def __init__(self, public: PublicKey) -> None:
        if public.algorithm != ED25519:
            raise ValueError(f"{public.name}: not a key of the type Ed25519")
        self.public, self.name, self.key_id = public, public.name, public.key_id
        self._key = Ed25519PublicKey.from_public_bytes(public.key)

    def verify(self, text: str, signature: bytes) -> bool:
        return is_valid(lambda: self._key.verify(signature, text.encode()))


class NoteSigner:
    """Signs notes with an Ed25519 key."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._seed = seed
        self.public = PublicKey(name, ED25519, self._key.public_key().public_bytes_raw())
        checked_name(name)

    @classmethod
    def parse(cls, text: str) -> "NoteSigner":
        """A signing key from its text.

        Raises:
            ValueError: the text is malformed.
        """
        return cls(*parse_signing_key(text, ED25519))

    @property
    def secret_text(self) -> str:
        """The signing key as text: for its file alone."""
        return signing_key_text(self.public, self._seed)

    def sign(self, text: str) -> NoteSignature:
        return NoteSignature(self.public.name, self.public.key_id, self._key.sign(text.encode()))


def key_id(name: str, algorithm: int, key: bytes) -> bytes:
    hashed = hashlib.sha256(name.encode() + b"\n" + bytes([algorithm]) + key)
    return hashed.digest()[:_KEY_ID_BYTES]


def parse_signing_key(text: str, algorithm: int) -> tuple[str, bytes]:
    """The name and the Ed25519 seed of a signing key for one type of signatures.

    Raises:
        ValueError: the text is malformed, of another type, or its id belongs to another key.
    """
    if not text.startswith(PRIVATE):
        raise ValueError(f"a signing key begins with {PRIVATE}")
    name, given, written, seed = key_parts(text.removeprefix(PRIVATE))
    if written != algorithm or len(seed) != SEED_BYTES:
        raise ValueError(f"not a signing key of the type {algorithm} (Ed25519)")
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    if key_id(name, algorithm, public) != given:
        raise ValueError("the id of the signing key does not belong to it")
    return name, seed


def signing_key_text(public: PublicKey, seed: bytes) -> str:
    """The text of a signing key, for its file alone."""
    encoded = base64.b64encode(bytes([public.algorithm]) + seed).decode()
    return f"{PRIVATE}{public.name}+{public.key_id.hex()}+{encoded}"


def parse_public_key(text: str) -> PublicKey:
    """A public key from its text.

    Raises:
        ValueError: the text is malformed, or its key id belongs to another key.
    """
    name, given, algorithm, key = key_parts(text)
    public = PublicKey(name, algorithm, key)
    if public.key_id != given:
        raise ValueError(f"the id of the key {name} does not belong to it")
    return public


def sign(text: str, signers: Iterable[NoteSigner]) -> SignedNote:
    """A note with a signature of each signer.

    Raises:
        ValueError: the text is no text of a note.
    """
    if not text.endswith("\n") or _has_control_characters(text):
        raise ValueError("the text of a note ends with a newline, its only control character")
    return SignedNote(text, tuple(each.sign(text) for each in signers))


def parse_note(data: bytes) -> SignedNote:
    """A note from its bytes, not verified.

    Raises:
        WrongNote: the bytes are no signed note.
    """
    if len(data) > NOTE_BYTES_MAX:
        raise WrongNote(f"more than {NOTE_BYTES_MAX} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise WrongNote("not UTF-8") from error
    if _has_control_characters(text):
        raise WrongNote("control characters")
    body, separator, lines = text.rpartition("\n\n")
    if not separator or not lines.endswith("\n"):
        raise WrongNote("no signature lines after the last empty line")
    signatures = parse_signatures(lines)
    if len(signatures) > SIGNATURES_MAX:
        raise WrongNote(f"more than {SIGNATURES_MAX} signatures")
    return SignedNote(f"{body}\n", signatures)


def parse_signatures(lines: str) -> tuple[NoteSignature, ...]:
    """Signature lines, each ended by a newline.

    Raises:
        WrongNote: one of the lines is malformed.
    """
    return tuple(_parse_signature(line) for line in lines.split("\n")[:-1])


def verified(note: SignedNote, keys: Sequence[NoteVerifier]) -> tuple[NoteSignature, ...]:
    """The signatures of known keys, one for each key.

    Raises:
        WrongNote: a signature of a known key is wrong, or its line has another name or key id.
    """
    known = {(each.name, each.key_id): each for each in keys}
    found = dict[tuple[str, bytes], NoteSignature]()
    for each in note.signatures:
        identity = each.name, each.key_id
        if identity not in known:
            _refuse_renamed(note, each, keys)
        if identity not in known or identity in found:
            continue
        if not known[identity].verify(note.text, each.signature):
            raise WrongNote(f"the signature of {each.name} is wrong")
        found[identity] = each
    return tuple(found.values())


def _refuse_renamed(note: SignedNote, line: NoteSignature, keys: Sequence[NoteVerifier]) -> None:
    """A key id is of one key; a name may be of several keys, such as a former one."""
    for key in keys:
        same_name = key.name == line.name and key.verify(note.text, line.signature)
        if key.key_id == line.key_id or same_name:
            raise WrongNote(f"the signature of {key.name} has another name or key id")


def is_valid(verify: Callable[[], object]) -> bool:
    """True if the call of the library that verifies a signature accepts it."""
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def checked_name(name: str) -> str:
    """A key name.

    Raises:
        ValueError: empty, or with a space or a plus sign.
    """
    if not name or "+" in name or any(each.isspace() for each in name):
        raise ValueError(f"{name!r} is no name of a key: empty, or with a space or a plus sign")
    return name


def decoded_base64(text: str) -> bytes:
    """Bytes from their one valid text in standard base64.

    Raises:
        ValueError: the text is malformed, or another text of the same bytes.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error
    if base64.b64encode(data).decode() != text:
        raise ValueError("not the one valid base64 of these bytes")
    return data


def key_parts(text: str) -> tuple[str, bytes, int, bytes]:
    """(name, key id, algorithm, key) of the text of a key."""
    parts = text.strip().split("+", 2)
    if len(parts) != 3:
        raise ValueError("a key is written as name+id+key")
    name, given, encoded = parts
    key = decoded_base64(encoded)
    if len(given) != 2 * _KEY_ID_BYTES or len(key) < 2:
        raise ValueError("a key is written as name+id+key")
    return checked_name(name), bytes.fromhex(given), key[0], key[1:]


def _parse_signature(line: str) -> NoteSignature:
    name, separator, encoded = line.removeprefix(DASH).partition(" ")
    if not line.startswith(DASH) or not separator:
        raise WrongNote("a line after the last empty line is no signature")
    try:
        data = decoded_base64(encoded)
        checked_name(name)
    except ValueError as error:
        raise WrongNote(f"a signature line is malformed: {error}") from error
    if len(data) <= _KEY_ID_BYTES:
        raise WrongNote(f"the signature of {name} is too short")
    return NoteSignature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _has_control_characters(text: str) -> bool:
    return any(each < " " and each != "\n" for each in text)
