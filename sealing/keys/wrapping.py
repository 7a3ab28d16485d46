"""Wrapping of data keys: they are stored encrypted by a key-encryption key (KEK), whose owner can
open all of them. Destroying a data key therefore destroys its wrapped bytes.

A site whose key-encryption keys are in a key management service (KMS) or a hardware security module
gives the processes another `KeyWrapper` (`sealing/keys/hsm.py`): two calls for each data key and
process, none for a request.
"""

import base64
import os
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from secaplane.sealing.keys.data_key import NONCE_BYTES, Random
from secaplane.sealing.sealer import Keyring

HSM = "hsm"
"""First part of each key that a hardware security module has wrapped."""


class CannotUnwrap(Exception):
    """A wrapped key whose key-encryption key is not here, or that was wrapped for another name."""


class KeyWrapper(Protocol):
    async def wrap(self, key: bytes, context: str) -> str:
        """The wrapped key as text. The context (name and id of the key) is needed to unwrap it.

        Raises:
            OSError, TimeoutError: a service does not answer.
        """
        ...

    async def unwrap(self, wrapped: str, context: str) -> bytes:
        """Raises CannotUnwrap; or OSError, TimeoutError as `wrap`."""
        ...


class FileWrapper:
    """Key-encryption keys of a keyring file. The current one wraps, all of them unwrap."""

    def __init__(self, keyring: Keyring, random: Random = os.urandom) -> None:
        self._current, self._random = keyring.current, random
        self._ciphers = {name: AESGCM(base64.b64decode(key)) for name, key in keyring.keys.items()}

    async def wrap(self, key: bytes, context: str) -> str:
        nonce = self._random(NONCE_BYTES)
        cipher = self._ciphers[self._current]
        wrapped = nonce + cipher.encrypt(nonce, key, context.encode())
        return f"{self._current}:{base64.b64encode(wrapped).decode()}"

    async def unwrap(self, wrapped: str, context: str) -> bytes:
        name, _, data = wrapped.partition(":")
        try:
            text = base64.b64decode(data, validate=True)
            nonce, cipher = text[:NONCE_BYTES], self._ciphers[name]
            return cipher.decrypt(nonce, text[NONCE_BYTES:], context.encode())
        except KeyError as error:
            raise CannotUnwrap(f"its key-encryption key {name} is not in the keyring") from error
        except (ValueError, InvalidTag) as error:
            raise CannotUnwrap("it was wrapped by another keyring, or for another name") from error


class MovedWrapper:
    """For a site that has moved its key-encryption keys: the new place wraps, and keys that the
    former one wrapped are still unwrapped there."""

    def __init__(self, now: KeyWrapper, scheme: str, before: KeyWrapper) -> None:
        """`scheme`: the first part of each key that is wrapped at the new place."""
        self._now, self._scheme, self._before = now, scheme, before

    async def wrap(self, key: bytes, context: str) -> str:
        return await self._now.wrap(key, context)

    async def unwrap(self, wrapped: str, context: str) -> bytes:
        place = self._now if wrapped.startswith(f"{self._scheme}:") else self._before
        return await place.unwrap(wrapped, context)
