"""A JWKS (RFC 7517) as verification keys, with the reasons why some of its keys are ignored. Does
no IO."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jwt
import msgspec

from secaplane.policy.tokens.issuer import SHARED, Issuer

KEYS_MAX = 100
KID_LENGTH_MAX = 256
RSA_BITS_MIN, RSA_BITS_MAX = 2048, 8192
SECRET_BYTES_MIN = 32
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
"""Members of a JWK that are secret (RFC 7518)."""
_KEY_TYPES = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
RSA = ("RSA", None)


class UnusableKeys(ValueError):
    """No JWKS, or one without a usable key. The message repeats nothing of its contents."""


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[Any]


_decode = msgspec.json.Decoder(_Jwks).decode


class KeySet(msgspec.Struct, frozen=True):
    """Keys by (kid, algorithm), and remarks about the keys that are ignored."""

    keys: Mapping[tuple[str | None, str], jwt.PyJWK]
    sole: Mapping[str, jwt.PyJWK]
    """By algorithm, if there is a single key: it verifies tokens that name no key."""
    remarks: Sequence[str] = ()


def from_secret(secret: bytes) -> KeySet:
    """The shared secret of HS256 as the sole key.

    Raises:
        UnusableKeys: too short.
    """
    secret = secret.strip()
    if len(secret) < SECRET_BYTES_MIN:
        raise UnusableKeys(f"a secret has at least {SECRET_BYTES_MIN} bytes")
    text = urlsafe_b64encode(secret).rstrip(b"=").decode()
    return KeySet({}, {SHARED: jwt.PyJWK({"kty": "oct", "k": text}, SHARED)})


def read(jwks: bytes, issuer: Issuer) -> KeySet:
    """The public keys of a JWKS for an issuer's algorithms.

    Raises:
        UnusableKeys: there is no such key.
    """
    try:
        rows = _decode(jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnusableKeys("it is no JWKS") from error
    if len(rows) > KEYS_MAX:
        raise UnusableKeys(f"it has more than {KEYS_MAX} keys")
    keys, remarks = dict[tuple[str | None, str], jwt.PyJWK](), list[str]()
    usable = 0
    for number, row in enumerate(rows):
        try:
            algorithms = _keys_of(row, issuer)
        except UnusableKeys as error:
            remarks.append(f"key {number}: {error}")
            continue
        usable += 1
        for algorithm, key in algorithms:
            if (key.key_id, algorithm) in keys:
                remarks.append(f"key {number}: another key has the same kid")
            keys.setdefault((key.key_id, algorithm), key)
    if not usable:
        raise UnusableKeys("; ".join(["it has no usable key", *remarks]))
    sole = {algorithm: key for (_, algorithm), key in keys.items()} if usable == 1 else {}
    return KeySet(keys, sole, remarks)


def _keys_of(row: Any, issuer: Issuer) -> list[tuple[str, jwt.PyJWK]]:
    """A JWK as one key for each algorithm that it may be used with. Reasons never repeat its
    contents."""
    _refuse_unfit(row)
    keys = []
    for algorithm in _algorithms(row, issuer.algorithms):
        try:
            key = jwt.PyJWK(row, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise UnusableKeys("it cannot be read") from error
        if row["kty"] == "RSA" and not RSA_BITS_MIN <= key.key.key_size <= RSA_BITS_MAX:
            raise UnusableKeys(f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
        keys.append((algorithm, key))
    if not keys:
        raise UnusableKeys("it is for none of the algorithms allowed")
    return keys


def _refuse_unfit(row: Any) -> None:
    if not isinstance(row, dict):
        raise UnusableKeys("it is no key")
    if row.get("kty") == "oct":
        raise UnusableKeys("it is symmetric: every reader of it can make tokens")
    if PRIVATE & row.keys():
        raise UnusableKeys("it is a private key, and no longer a secret")
    if row.get("use", "sig") != "sig":
        raise UnusableKeys("it is not for signatures")
    operations = row.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeys("it does not verify")
    kid = row.get("kid", "")
    if not isinstance(kid, str) or len(kid) > KID_LENGTH_MAX:
        raise UnusableKeys(f"a kid is text of at most {KID_LENGTH_MAX} characters")


def _algorithms(row: Mapping[str, Any], allowed: Sequence[str]) -> Iterator[str]:
    named, key_type = row.get("alg"), (row.get("kty"), row.get("crv"))
    for algorithm in allowed:
        if named in (None, algorithm) and _KEY_TYPES.get(algorithm, RSA) == key_type:
            yield algorithm
