"""Secret fields are encrypted ("sealed") before the append, and decrypted ("opened") only for an
answer or a call of a plugin: the log, snapshots and rows never hold them in clear.

A sealed string is `sealed:<key id>:<digest>:<nonce and ciphertext>`. Its key belongs to one life of
a resource, within one life of its tenant, both known by uid: names, which are used again, are no
part of it. The cipher is AES-256-GCM; the lives and the field are its associated data, so that a
sealed string that was moved cannot be opened. The digest is keyed (HMAC): two sealed strings can be
compared without opening them (docs/decisions/037).

The key is random (`random/<id>`, docs/decisions/083), so that it can be destroyed. On a site
without `keys.keyring`, and in older events, it is derived (HKDF, RFC 5869) from the key of the
tenant's life, and that one from the key of the keyring with this id.
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secaplane.model.desired import ERASED_TEXT
from secaplane.model.kind import Kind
from secaplane.model.pointer import at, changed, omitted
from secaplane.model.shape import Json, LifeIds
from secaplane.sealing.keys.data_key import CannotOpen, DataKey
from secaplane.sealing.keys.key_store import DestroyedKey

MARK = "sealed"
RANDOM = "random/"
"""Begins the id of a random key; any other one is of the keyring."""
STATUS = "/status"
"""Prefix of the pointers of secrets in a status; pointers into a spec have none."""
KEY_BYTES = 32
NONCE_BYTES = 12


class UnsealFailed(Exception):
    """A sealed string whose key is not in the keyring, or that was sealed for another field. The
    message never holds the secret."""


class SecretErased(UnsealFailed):
    """The random key of the life was destroyed."""


class Keyring(msgspec.Struct, frozen=True):
    """Keys by id, each 32 bytes in base64. The `current` one seals, all of them open."""

    current: str
    keys: dict[str, str]

    @staticmethod
    def read(path: Path) -> "Keyring":
        """A keyring from a JSON file.

        Raises:
            ValueError: the file is no keyring.
            OSError: the file cannot be read.
        """
        keyring = msgspec.json.decode(path.read_bytes(), type=Keyring)
        if keyring.current not in keyring.keys:
            raise ValueError(f"{path}: the current key {keyring.current} is not among the keys")
        for key in keyring.keys.values():
            if len(base64.b64decode(key, validate=True)) != KEY_BYTES:
                raise ValueError(f"{path}: a key has {KEY_BYTES} bytes, in base64")
        return keyring

    @staticmethod
    def generate(random: Callable[[int], bytes] = os.urandom) -> "Keyring":
        return Keyring("k1", {"k1": base64.b64encode(random(KEY_BYTES)).decode()})


LifeKeys = Mapping[LifeIds, DataKey | DestroyedKey]
NO_KEYS: LifeKeys = MappingProxyType({})


class Sealer:
    """Seals and opens, without IO. A life whose random key is not among the `keys` is sealed with a
    derived one."""

    def __init__(
        self,
        keyring: Keyring,
        random: Callable[[int], bytes] = os.urandom,
        keys: LifeKeys = NO_KEYS,
    ) -> None:
        self._keyring, self._random, self._keys = keyring, random, keys

    def having(self, keys: LifeKeys) -> "Sealer":
        """The same with the random keys of some lives."""
        return Sealer(self._keyring, self._random, keys)

    def seal(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """The spec with the kind's secret strings sealed; the same object where it has none.

        Raises:
            SecretErased: nothing can be sealed for this life any more.
        """
        return self._changed(kind, spec, partial(self._sealed, life))

    def open(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """The spec with its sealed strings opened.

        Raises:
            UnsealFailed; SecretErased.
        """
        return self._changed(kind, spec, partial(self._opened, life))

    def open_left(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """As `open`, without the strings whose key was destroyed."""
        for pointer in kind.secrets.spec:
            try:
                spec = changed(spec, pointer, partial(self._opened, life, pointer))
            except SecretErased:
                spec = omitted(spec, pointer)
        return spec

    def seal_status(self, kind: Kind, life: LifeIds, status: Json, former: Json) -> Json:
        """The status with its secret strings sealed. A secret that is the same as in the former
        status keeps its sealed string, so that a report without news stays equal. So does one that
        cannot be compared, because the key of the life was destroyed; a new one is left out."""
        for pointer in kind.secrets.status:
            sealed, field = at(former, pointer), f"{STATUS}{pointer}"
            try:
                if not isinstance(sealed, str) or self._opened(life, field, sealed) != at(
                    status, pointer
                ):
                    status = changed(status, pointer, partial(self._sealed, life, field))
                    continue
            except SecretErased:
                if not isinstance(sealed, str):
                    status = omitted(status, pointer)
                    continue
            status = changed(status, pointer, partial(_replaced, sealed))
        return status

    def open_shown(self, kind: Kind, life: LifeIds, shown: Json) -> Json:
        """A resource as the API shows it, with its sealed strings opened: `<erased>` where the key
        was destroyed.

        Raises:
            UnsealFailed.
        """
        opened = {"spec": self._changed(kind, shown["spec"], partial(self._shown, life))}
        if "status" in shown:
            status = shown["status"]
            for pointer in kind.secrets.status:
                status = changed(status, pointer, partial(self._shown, life, f"{STATUS}{pointer}"))
            opened["status"] = status
        return shown | opened

    def _changed(self, kind: Kind, spec: Json, change: Callable[[str, str], str]) -> Json:
        for pointer in kind.secrets.spec:
            spec = changed(spec, pointer, partial(change, pointer))
        return spec

    def _shown(self, life: LifeIds, pointer: str, text: str) -> str:
        try:
            return self._opened(life, pointer, text)
        except SecretErased:
            return ERASED_TEXT

    def _sealed(self, life: LifeIds, pointer: str, text: str) -> str:
        random_key = self._keys.get(life)
        if random_key is not None:
            return _sealed_with(random_key, life, pointer, text)
        key_id = self._keyring.current
        key = _derived(self._keyring.keys[key_id], life)
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), _associated_data(life, pointer))
        digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"{MARK}:{key_id}:{digest}:{base64.b64encode(sealed).decode()}"

    def _opened(self, life: LifeIds, pointer: str, text: str) -> str:
        try:
            _mark, key_id, _digest, data = text.split(":", 3)
            if key_id.startswith(RANDOM):
                sealed_text = f"{key_id.removeprefix(RANDOM)}:{data}"
                return _opened_with(self._keys[life], life, pointer, sealed_text)
            sealed = base64.b64decode(data, validate=True)
            key = _derived(self._keyring.keys[key_id], life)
            nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, cipher, _associated_data(life, pointer)).decode()
        except (ValueError, KeyError, InvalidTag, CannotOpen) as error:
            raise UnsealFailed(f"{pointer} of the life {life.uid} cannot be opened") from error


def has_random(kind: Kind, spec: Json, status: Json) -> bool:
    """True if a string of the spec or the status is sealed with a random key."""
    begins = f"{MARK}:{RANDOM}"
    texts = [at(spec, each) for each in kind.secrets.spec]
    texts += [at(status, each) for each in kind.secrets.status]
    return any(isinstance(text, str) and text.startswith(begins) for text in texts)


def _sealed_with(key: DataKey | DestroyedKey, life: LifeIds, pointer: str, text: str) -> str:
    if isinstance(key, DestroyedKey):
        raise SecretErased(f"the key of {pointer} of the life {life.uid} was destroyed")
    id, _, data = key.seal(text.encode(), _associated_data(life, pointer)).partition(":")
    return f"{MARK}:{RANDOM}{id}:{key.digest(text.encode())}:{data}"


def _opened_with(key: DataKey | DestroyedKey, life: LifeIds, pointer: str, sealed: str) -> str:
    if isinstance(key, DestroyedKey):
        raise SecretErased(f"the key of {pointer} of the life {life.uid} was destroyed")
    return key.open(sealed, _associated_data(life, pointer)).decode()


@lru_cache(maxsize=4096)
def _derived(master: str, life: LifeIds) -> bytes:
    """`master`: a key of the keyring, in base64."""
    tenant = _derive(base64.b64decode(master), f"secaplane tenant life {life.tenant}")
    return _derive(tenant, f"secaplane resource life {life.uid}")


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def _replaced(sealed: str, text: str) -> str:
    return sealed


def _associated_data(life: LifeIds, pointer: str) -> bytes:
    return f"{life.tenant} {life.uid} {pointer}".encode()
