"""Cosignatures of witnesses under a checkpoint (c2sp.org/tlog-cosignature). Pure.

A cosignature says that the cosigner has seen no other history of the log. It carries the time, in
seconds since 1970, at which this was its largest known tree.
"""

import struct

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from secaplane.audit.tlog.checkpoints import TreeHead, parse_tree_head
from secaplane.audit.tlog.signed_notes import (
    ED25519,
    Ed25519Verifier,
    NoteSignature,
    NoteVerifier,
    PublicKey,
    checked_name,
    is_valid,
    parse_signing_key,
    signing_key_text,
)

COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44 = 0x04, 0x06
TIME_BYTES = 8
COSIGNED_AT_END = 1 << 56
"""Seconds since 1970, in two thousand million years: no cosignature has a later time."""
_SIGNATURE_BYTES = {COSIGNATURE_ED25519: 64, COSIGNATURE_ML_DSA_44: 2420}


class UnsupportedKey(ValueError):
    """A key of a type that this software, or its cryptographic library, cannot verify."""


class CosignatureVerifier:
    """Verifies cosignatures of one witness."""

    def __init__(self, public: PublicKey) -> None:
        self.public, self.name, self.key_id = public, public.name, public.key_id
        self._ed25519 = self._ml_dsa_44 = None
        if public.algorithm == COSIGNATURE_ED25519:
            self._ed25519 = Ed25519PublicKey.from_public_bytes(public.key)
        elif public.algorithm == COSIGNATURE_ML_DSA_44:
            self._ml_dsa_44 = _ml_dsa_44(public)
        else:
            raise UnsupportedKey(f"{public.name}: not a key for cosignatures")

    def verify(self, text: str, signature: bytes) -> bool:
        if len(signature) != TIME_BYTES + _SIGNATURE_BYTES[self.public.algorithm]:
            return False
        time, rest = cosigned_at(signature), signature[TIME_BYTES:]
        if self._ed25519 is not None:
            key = self._ed25519
            return is_valid(lambda: key.verify(rest, cosigned_text(text, time)))
        assert self._ml_dsa_44 is not None
        large, message = self._ml_dsa_44, cosigned_message(self.name, parse_tree_head(text), time)
        return is_valid(lambda: large.verify(rest, message))


class Cosigner:
    """Cosigns checkpoints with an Ed25519 key. The key must sign nothing else."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._key, self._seed = Ed25519PrivateKey.from_private_bytes(seed), seed
        key = self._key.public_key().public_bytes_raw()
        self.public = PublicKey(checked_name(name), COSIGNATURE_ED25519, key)

    @classmethod
    def parse(cls, text: str) -> "Cosigner":
        """A key for cosignatures from its text.

        Raises:
            ValueError: the text is malformed.
        """
        return cls(*parse_signing_key(text, COSIGNATURE_ED25519))

    @property
    def secret_text(self) -> str:
        """The signing key as text: for its file alone."""
        return signing_key_text(self.public, self._seed)

    def cosign(self, text: str, time: int) -> NoteSignature:
        """The cosignature of the text of a checkpoint at a time."""
        signature = self._key.sign(cosigned_text(text, time))
        stamped = time.to_bytes(TIME_BYTES, "big") + signature
        return NoteSignature(self.public.name, self.public.key_id, stamped)


def note_verifier(public: PublicKey) -> NoteVerifier:
    """The verifier of a key, by the type of its signatures.

    Raises:
        UnsupportedKey: of another type.
    """
    return Ed25519Verifier(public) if public.algorithm == ED25519 else CosignatureVerifier(public)


def cosigned_at(signature: bytes) -> int:
    """The time in a cosignature."""
    return int.from_bytes(signature[:TIME_BYTES], "big")


def cosigned_text(text: str, time: int) -> bytes:
    """The message of an Ed25519 cosignature."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def cosigned_message(cosigner: str, head: TreeHead, time: int) -> bytes:
    """The message of an ML-DSA-44 cosignature: `cosigned_message` of a whole tree. It covers no
    extension lines."""
    return b"".join(
        (
            b"subtree/v1\n\0",
            _short(cosigner),
            struct.pack(">Q", time),
            _short(head.origin),
            struct.pack(">QQ", 0, head.size),
            head.root,
        )
    )


def _short(text: str) -> bytes:
    """A text with its length in one byte."""
    data = text.encode()
    if not 0 < len(data) < 256:
        raise UnsupportedKey(f"{text}: names in a cosignature have 1 to 255 bytes")
    return bytes([len(data)]) + data


def _ml_dsa_44(public: PublicKey) -> MLDSA44PublicKey:
    try:
        return MLDSA44PublicKey.from_public_bytes(public.key)
    except UnsupportedAlgorithm as error:
        raise UnsupportedKey(f"{public.name}: ML-DSA-44 is not supported here") from error
