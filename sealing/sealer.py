"""Secrets never reach the log in clear: they are sealed before the append, and opened only where an
answer or a plugin's call needs them.

A sealed string reads `sealed:<key id>:<digest>:<nonce and ciphertext>`. The key is the tenant's,
derived (HKDF, RFC 5869) from a key of the keyring; the cipher is AES-256-GCM, bound to the place
the secret stands in, so that it opens nowhere else; the digest is keyed (HMAC) and answers "is it
the same secret?" without opening. Folds, rows and events hold sealed strings.
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
"""How the places of secrets in a status begin: those in a spec begin with the field."""
KEY_BYTES = 32
NONCE_BYTES = 12


class UnsealFailed(Exception):
    """A sealed string whose key is not in the keyring, or that stands where it was not sealed."""


class Keyring(msgspec.Struct, frozen=True):
    """Keys by id, base64 of 32 bytes each; `current` seals, all of them open."""

    current: str
    keys: dict[str, str]

    @staticmethod
    def read(path: Path) -> "Keyring":
        """Raises ValueError where the file is no keyring, OSError where it cannot be read."""
        keyring = msgspec.json.decode(path.read_bytes(), type=Keyring)
        if keyring.current not in keyring.keys:
            raise ValueError(f"{path}: the current key {keyring.current} is not among the keys")
        for key in keyring.keys.values():
            if len(base64.b64decode(key, validate=True)) != KEY_BYTES:
                raise ValueError(f"{path}: a key has {KEY_BYTES} bytes, in base64")
        return keyring

    @staticmethod
    def fresh(random: Callable[[int], bytes] = os.urandom) -> "Keyring":
        return Keyring("k1", {"k1": base64.b64encode(random(KEY_BYTES)).decode()})


class Sealer:
    def __init__(self, keyring: Keyring, random: Callable[[int], bytes] = os.urandom) -> None:
        self._keyring, self._random = keyring, random
        self._key = lru_cache(maxsize=4096)(self._derived)

    def seal(self, kind: Kind, ref: Ref, spec: Json) -> Json:
        """The spec with the kind's secret strings sealed; the spec itself where it has none."""
        return self._changed(kind, spec, partial(self._sealed, ref))

    def open(self, kind: Kind, ref: Ref, spec: Json) -> Json:
        """The spec with its sealed strings open again.

        Raises:
            Unsealable: see there.
        """
        return self._changed(kind, spec, partial(self._opened, ref))

    def seal_status(self, kind: Kind, ref: Ref, status: Json, former: Json) -> Json:
        """The status with its secret strings sealed; one that was reported before stays as it was
        sealed then, so that a report of the same says nothing new."""
        for pointer in kind.secrets.status:
            kept = at(former, pointer)
            place = f"{STATUS}{pointer}"
            if isinstance(kept, str) and self._opened(ref, place, kept) == at(status, pointer):
                status = changed(status, pointer, partial(_instead, kept))
            else:
                status = changed(status, pointer, partial(self._sealed, ref, place))
        return status

    def open_status(self, kind: Kind, ref: Ref, status: Json) -> Json:
        """As `open`."""
        for pointer in kind.secrets.status:
            status = changed(status, pointer, partial(self._opened, ref, f"{STATUS}{pointer}"))
        return status

    def open_shown(self, kind: Kind, ref: Ref, shown: Json) -> Json:
        """A whole resource, as the API shows it, with what is sealed in it open.

        Raises:
            Unsealable: see there.
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
        sealed = nonce + AESGCM(key).encrypt(nonce, text.encode(), _place(ref, pointer))
        digest = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
        return f"{MARK}:{key_id}:{digest}:{base64.b64encode(sealed).decode()}"

    def _opened(self, ref: Ref, pointer: str, text: str) -> str:
        try:
            _mark, key_id, _digest, data = text.split(":", 3)
            sealed = base64.b64decode(data, validate=True)
            key = self._key(key_id, ref.scope("tenants"))
            nonce, cipher = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
            return AESGCM(key).decrypt(nonce, cipher, _place(ref, pointer)).decode()
        except (ValueError, KeyError, InvalidTag) as error:
            raise UnsealFailed(f"{ref.kind} {ref.path}: {pointer} cannot be opened") from error

    def _derived(self, key_id: str, tenant: str) -> bytes:
        master = base64.b64decode(self._keyring.keys[key_id])
        info = f"secaplane tenant {tenant}".encode()
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(master)


def _instead(kept: str, text: str) -> str:
    return kept


def _place(ref: Ref, pointer: str) -> bytes:
    return f"{ref.kind} {ref.path} {pointer}".encode()
