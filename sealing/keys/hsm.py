"""Key-encryption keys in a hardware security module (HSM), which never leave it: PKCS #11 v3.0
(OASIS), mechanism CKM_AES_GCM.

A wrapped key is `hsm:<label of the key>:<base64 of nonce, ciphertext and tag>`.
"""

import asyncio
import base64
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, NamedTuple, TypeVar

from pkcs11 import (
    Attribute,
    GCMParams,
    KeyType,
    Mechanism,
    MechanismFlag,
    NoSuchKey,
    ObjectClass,
    PinIncorrect,
    PinLocked,
    PKCS11Error,
    Session,
    lib,
)

from secaplane.sealing.keys.data_key import NONCE_BYTES, Random
from secaplane.sealing.keys.wrapping import HSM, CannotUnwrap

ANSWER_S_MAX = 10.0
TAG_BITS = 128
T = TypeVar("T")


class HsmToken(NamedTuple):
    """The part of a module that holds the keys."""

    module: str
    """Path of the module's PKCS #11 library."""
    label: str
    pin: str


class HsmUnavailable(OSError):
    """The module does not answer, refuses the PIN, or has no such key."""


class HsmWrapper:
    """The key with one label wraps; every key of the token unwraps what it has wrapped.

    A module counts wrong PINs and locks itself: after one refusal, this process does not ask again.
    """

    def __init__(self, token: HsmToken, key: str, random: Random = os.urandom) -> None:
        self._token, self._key, self._random = token, key, random
        self._refused = ""
        # one at a time: the logins of a process are one login to the module
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="hsm")

    async def generate(self) -> bool:
        """Generate the key that wraps: AES-256, sensitive and not extractable. False where the
        token has a key with this label.

        Raises:
            HsmUnavailable, TimeoutError.
        """
        return await self._in_thread(self._generate)

    def _generate(self) -> bool:
        with self._session(rw=True) as session:
            with suppress(NoSuchKey):
                session.get_key(object_class=ObjectClass.SECRET_KEY, label=self._key)
                return False
            template = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
            uses = MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT
            session.generate_key(
                KeyType.AES, 256, label=self._key, store=True, capabilities=uses, template=template
            )
            return True

    async def wrap(self, key: bytes, context: str) -> str:
        """Raises HsmUnavailable, TimeoutError."""
        nonce = self._random(NONCE_BYTES)

        def encrypted(kek: Any) -> bytes:
            sealed: bytes = kek.encrypt(key, **_gcm(nonce, context))
            return sealed

        wrapped = await self._asked(self._key, encrypted)
        return f"{HSM}:{self._key}:{base64.b64encode(nonce + wrapped).decode()}"

    async def unwrap(self, wrapped: str, context: str) -> bytes:
        """Raises CannotUnwrap, HsmUnavailable, TimeoutError."""
        label, _, data = wrapped.removeprefix(f"{HSM}:").rpartition(":")
        try:
            text = base64.b64decode(data, validate=True)
        except ValueError as error:
            raise CannotUnwrap("it is no wrapped key") from error

        def decrypted(kek: Any) -> bytes:
            try:
                nonce, sealed = text[:NONCE_BYTES], text[NONCE_BYTES:]
                opened: bytes = kek.decrypt(sealed, **_gcm(nonce, context))
                return opened
            except PKCS11Error as error:
                raise CannotUnwrap("it was wrapped by another key, or for another name") from error

        return await self._asked(label, decrypted)

    async def _asked(self, label: str, question: Callable[[Any], T]) -> T:
        return await self._in_thread(partial(self._ask, label, question))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        async with asyncio.timeout(ANSWER_S_MAX):
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _ask(self, label: str, question: Callable[[Any], T]) -> T:
        with self._session() as session:
            try:
                found = session.get_key(object_class=ObjectClass.SECRET_KEY, label=label)
            except NoSuchKey as error:
                raise HsmUnavailable(f"the HSM has no key {label}") from error
            return question(found)

    @contextmanager
    def _session(self, *, rw: bool = False) -> Iterator[Session]:
        """A session of its own for each question, so that a module that was away is found again."""
        if self._refused:
            raise HsmUnavailable(self._refused)
        try:
            module = lib(self._token.module)
            token = module.get_token(token_label=self._token.label)
            with token.open(rw=rw, user_pin=self._token.pin) as session:
                yield session
        except (PinIncorrect, PinLocked) as error:
            self._refused = (
                f"the HSM refused the PIN ({type(error).__name__}): correct it and restart the "
                "process, which does not try again because the HSM would lock the token"
            )
            raise HsmUnavailable(self._refused) from error
        except PKCS11Error as error:
            raise HsmUnavailable(f"the HSM: {type(error).__name__} {error}".rstrip()) from error


def _gcm(nonce: bytes, context: str) -> dict[str, object]:
    parameters = GCMParams(nonce, context.encode(), TAG_BITS)
    return {"mechanism": Mechanism.AES_GCM, "mechanism_param": parameters}
