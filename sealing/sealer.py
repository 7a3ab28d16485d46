"""Secret fields are encrypted ("sealed") before the append, and decrypted ("opened") only for an
answer or a call of a plugin: the log, snapshots and rows never hold them in clear.

A sealed string is `sealed:<key id>:<digest>:<nonce and ciphertext>`. Its key is derived (HKDF, RFC
5869) from a key of the keyring for one tenant. The cipher is AES-256-GCM; the resource and field
are its associated data, so that a sealed string that was moved cannot be opened. The digest is
keyed (HMAC): two sealed strings can be compared without opening them.
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
from secaplane.model.shape import Json, Ref

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

    def seal(self, kind: Kind, ref: Ref, spec: Json) -> Json:
        """The spec with the kind's secret strings sealed; the same object where it has none."""
        return self._changed(kind, spec, partial(self._sealed, ref))

    def open(self, kind: Kind, ref: Ref, spec: Json) -> Json:
        """The spec with its sealed strings opened.

        Raises:
            UnsealFailed.
        """
        return self._changed(kind, spec, partial(self._opened, ref))

    def seal_status(self, kind: Kind, ref: Ref, status: Json, former: Json) -> Json:
        """The status with its secret strings sealed. A secret that is the same as in the former
        status keeps its sealed string, so that a report without news stays equal."""
        for pointer in kind.secrets.status:
            sealed = at(former, pointer)
            field = f"{STATUS}{pointer}"
            if isinstance(sealed, str) and self._opened(ref, field, sealed) == at(status, pointer):
                status = changed(status, pointer, partial(_replaced, sealed))
            else:
                status = changed(status, pointer, partial(self._sealed, ref, field))
        return status

    def open_status(self, kind: Kind, ref: Ref, status: Json) -> Json:
        """The status with its sealed strings opened; raises as `open`."""
        for pointer in kind.secrets.status:
            status = changed(status, pointer, partial(self._opened, ref, f"{STATUS}{pointer}"))
        return status

    def open_shown(self, kind: Kind, ref: Ref, shown: Json) -> Json:
        """A resource as the API shows it, with its sealed strings opened.

        Raises:
            UnsealFailed.
        """
        opened = {"spec": self.open(kind, ref, shown["spec"])}
        if "status" in shown:
            opened["status"] = self.open_status(kind, ref, shown["status"])
        return shown | opened

    def _changed(self, kind: Kind, spec: Json, change: Callable[[str, str], str]) -> Json:
        for pointer in kind.secrets.spec:
            spec = changed(spec, pointer, partial(change, pointer))
        return spec

    def _sealed(self, ref: Ref, pointer: str, text: str) -> str:
        key_id = self._keyring.current
        key = self._key(key_id, ref.scope("tenants"))
        nonce = self._random(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), _associated_data(ref, pointer))
        digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"{MARK}:{key_id}:{digest}:{base64.b64encode(sealed).decode()}"

    def _opened(self, ref: Ref, pointer: str, text: str) -> str:
        try:
            _mark, key_id, _digest, data = text.split(":", 3)
            sealed = base64.b64decode(data, validate=True)
            key = self._key(key_id, ref.scope("tenants"))
            nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, cipher, _associated_data(ref, pointer)).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise UnsealFailed(f"{ref.kind} {ref.path}: {pointer} cannot be opened") from error

    def _derived(self, key_id: str, tenant: str) -> bytes:
        master = base64.b64decode(self._keyring.keys[key_id])
        info = f"secaplane tenant {tenant}".encode()
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(master)


def _replaced(sealed: str, text: str) -> str:
    return sealed


def _associated_data(ref: Ref, pointer: str) -> bytes:
    return f"{ref.kind} {ref.path} {pointer}".encode()
