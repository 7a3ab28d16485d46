"""A data key: what it is for, which life owns it, and sealing and opening with it. Pure.

A data key is random, never derived from a name or from another key. Its name says its purpose and
its owner; a name has one key for ever: once that is destroyed, no other one is made.

A sealed text is `<key id>:<base64 of nonce and ciphertext>`, encrypted with AES-256-GCM. The
context (which event, which field) is its associated data, so that a sealed text that was moved
cannot be opened.
"""

import hmac
import os
from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HALF_BYTES = 32
KEY_BYTES = 2 * HALF_BYTES
"""The first half encrypts (AES-256-GCM), the second one is the key of digests (HMAC-SHA-256)."""
NONCE_BYTES = 12
Random = Callable[[int], bytes]


Purpose = Literal["body", "person", "secret"]
BODY: Purpose = "body"
"""The contents of the events of one tenant life."""
PERSON: Purpose = "person"
"""The actors of the events of one tenant life in one month."""
SECRET: Purpose = "secret"
"""The secret fields of one resource life."""
OUTSIDE = "-"
"""Stands for the tenant life of a resource outside of tenants."""


class KeyName(NamedTuple):
    purpose: Purpose
    owner: str
    """Uids and months, joined by dots; part of a subject in NATS."""

    def __str__(self) -> str:
        return f"{self.purpose}.{self.owner}"


def key_name(text: str) -> KeyName:
    """Raises ValueError where the text names no key."""
    purpose, _, owner = text.partition(".")
    for known in get_args(Purpose):
        if purpose == known and owner:
            return KeyName(known, owner)
    raise ValueError(f"{text} names no key")


def body_key(tenant: str) -> KeyName:
    """`tenant`: the uid of the tenant's life."""
    return KeyName(BODY, tenant)


def person_key(tenant: str, month: str) -> KeyName:
    """`month` as in 2026-11, in UTC."""
    return KeyName(PERSON, f"{tenant}.{month}")


def secret_key(tenant: str, uid: str) -> KeyName:
    """`uid`: of the resource's life; `tenant`: of the tenant's life that contains it."""
    return KeyName(SECRET, f"{tenant or OUTSIDE}.{uid}")


class CannotOpen(Exception):
    """A text that was sealed with another key, for another context, or was changed."""


class DataKey:
    def __init__(self, id: str, key: bytes, random: Random = os.urandom) -> None:
        """`id` tells this key from any other of the same name, such as one of another log."""
        assert len(key) == KEY_BYTES
        self.id, self._random = id, random
        self._cipher, self._digests = AESGCM(key[:HALF_BYTES]), key[HALF_BYTES:]

    def seal(self, text: bytes, context: bytes) -> str:
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + self._cipher.encrypt(nonce, text, context)
        return f"{self.id}:{b2a_base64(sealed, newline=False).decode()}"

    def open(self, sealed: str, context: bytes) -> bytes:
        """Raises CannotOpen."""
        id, _, data = sealed.partition(":")
        if id != self.id:
            raise CannotOpen(f"sealed with the key {id}, and the present one is {self.id}")
        try:
            text = a2b_base64(data, strict_mode=True)
            return self._cipher.decrypt(text[:NONCE_BYTES], text[NONCE_BYTES:], context)
        except (InvalidTag, NotBase64, ValueError) as error:
            raise CannotOpen("changed, or sealed for another place") from error

    def digest(self, text: bytes) -> str:
        """The same for the same text, and says nothing about it without this key (hex)."""
        return hmac.digest(self._digests, text, "sha256").hex()
