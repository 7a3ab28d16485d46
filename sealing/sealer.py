"""Secret fields are encrypted ("sealed") before the append, and decrypted ("opened") only for an
answer or a call of a plugin: the log, snapshots and rows never hold them in clear.

A sealed string is `sealed:<key id>:<digest>:<nonce and ciphertext>`. Its key belongs to one life of
a resource, within one life of its tenant, both known by uid: names, which are used again, are no
part of it. It is derived (HKDF, RFC 5869) from the key of the tenant's life, and that one from a
key of the keyring. The cipher is AES-256-GCM; the lives and the field are its associated data, so
that a sealed string that was moved cannot be opened. The digest is keyed (HMAC): two sealed strings
can be compared without opening them (docs/decisions/037).
"""

import base64
import hashlib
import hmac
import os
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secaplane.model.kind import Kind
from secaplane.model.pointer import at, changed
from secaplane.model.shape import Json, LifeIds

MARK = "sealed"
STATUS = "/status"
"""Prefix of the pointers of secrets in a status; pointers into a spec have none."""
KEY_BYTES = 32
NONCE_BYTES = 12


class UnsealFailed(Exception):
    """A sealed string whose key is not in the keyring, or that was sealed for another field. The
    message never holds the secret."""


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


class Sealer:
    def __init__(self, keyring: Keyring, random: Callable[[int], bytes] = os.urandom) -> None:
        self._keyring, self._random = keyring, random
        self._key = lru_cache(maxsize=4096)(self._derived)

    def seal(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """The spec with the kind's secret strings sealed; the same object where it has none."""
        return self._changed(kind, spec, partial(self._sealed, life))

    def open(self, kind: Kind, life: LifeIds, spec: Json) -> Json:
        """The spec with its sealed strings opened.

        Raises:
            UnsealFailed.
        """
        return self._changed(kind, spec, partial(self._opened, life))

    def seal_status(self, kind: Kind, life: LifeIds, status: Json, former: Json) -> Json:
        """The status with its secret strings sealed. A secret that is the same as in the former
        status keeps its sealed string, so that a report without news stays equal."""
        for pointer in kind.secrets.status:
            sealed = at(former, pointer)
            field = f"{STATUS}{pointer}"
            if isinstance(sealed, str) and self._opened(life, field, sealed) == at(status, pointer):
                status = changed(status, pointer, partial(_replaced, sealed))
            else:
                status = changed(status, pointer, partial(self._sealed, life, field))
        return status

    def open_status(self, kind: Kind, life: LifeIds, status: Json) -> Json:
        """The status with its sealed strings opened; raises as `open`."""
        for pointer in kind.secrets.status:
            status = changed(status, pointer, partial(self._opened, life, f"{STATUS}{pointer}"))
        return status

    def open_shown(self, kind: Kind, life: LifeIds, shown: Json) -> Json:
        """A resource as the API shows it, with its sealed strings opened.

        Raises:
            UnsealFailed.
        """
        opened = {"spec": self.open(kind, life, shown["spec"])}
        if "status" in shown:
            opened["status"] = self.open_status(kind, life, shown["status"])
        return shown | opened

    def _changed(self, kind: Kind, spec: Json, change: Callable[[str, str], str]) -> Json:
        for pointer in kind.secrets.spec:
            spec = changed(spec, pointer, partial(change, pointer))
        return spec

    def _sealed(self, life: LifeIds, pointer: str, text: str) -> str:
        key_id = self._keyring.current
        key = self._key(key_id, life)
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), _associated_data(life, pointer))
        digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"{MARK}:{key_id}:{digest}:{base64.b64encode(sealed).decode()}"

    def _opened(self, life: LifeIds, pointer: str, text: str) -> str:
        try:
            _mark, key_id, _digest, data = text.split(":", 3)
            sealed = base64.b64decode(data, validate=True)
            key = self._key(key_id, life)
            nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, cipher, _associated_data(life, pointer)).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise UnsealFailed(f"{pointer} of the life {life.uid} cannot be opened") from error

    def _derived(self, key_id: str, life: LifeIds) -> bytes:
        master = base64.b64decode(self._keyring.keys[key_id])
        tenant = _derive(master, f"secaplane tenant life {life.tenant}")
        return _derive(tenant, f"secaplane resource life {life.uid}")


def _derive(key: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=purpose.encode()).derive(key)


def _replaced(sealed: str, text: str) -> str:
    return sealed


def _associated_data(life: LifeIds, pointer: str) -> bytes:
    return f"{life.tenant} {life.uid} {pointer}".encode()
