"""A JWKS as keys: those that may vouch for a token, and why the others may not. Pure."""

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
"""Members of a JWK that only its owner may know (RFC 7518)."""
_SORTS = {
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
RSA = ("RSA", None)


class Unusable(ValueError):
    """It is no JWKS, or holds no key that we can use. Says nothing of what stands in it."""


class _Jwks(msgspec.Struct, frozen=True):
    keys: list[Any]


_decode = msgspec.json.Decoder(_Jwks).decode


class KeySet(msgspec.Struct, frozen=True):
    """The keys by (kid, algorithm), and what is wrong with those left out."""

    keys: Mapping[tuple[str | None, str], jwt.PyJWK]
    only: Mapping[str, jwt.PyJWK]
    """By algorithm, if there is one key alone: it vouches for tokens that name none."""
    remarks: Sequence[str] = ()


def shared(secret: bytes) -> KeySet:
    """A secret from a file, which the token need not name.

    Raises:
        Unusable: too short.
    """
    secret = secret.strip()
    if len(secret) < SECRET_BYTES_MIN:
        raise Unusable(f"a secret has at least {SECRET_BYTES_MIN} bytes")
    text = urlsafe_b64encode(secret).rstrip(b"=").decode()
    return KeySet({}, {SHARED: jwt.PyJWK({"kty": "oct", "k": text}, SHARED)})


def read(jwks: bytes, issuer: Issuer) -> KeySet:
    """The public keys that fit an issuer's algorithms.

    Raises:
        Unusable: there is none.
    """
    try:
        rows = _decode(jwks).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unusable("it is no JWKS") from error
    if len(rows) > KEYS_MAX:
        raise Unusable(f"it has more than {KEYS_MAX} keys")
    keys, remarks = dict[tuple[str | None, str], jwt.PyJWK](), list[str]()
    usable = 0
    for number, row in enumerate(rows):
        try:
            made = _made(row, issuer)
        except Unusable as error:
            remarks.append(f"key {number}: {error}")
            continue
        usable += 1
        for algorithm, key in made:
            if (key.key_id, algorithm) in keys:
                remarks.append(f"key {number}: another one has the same kid")
            keys.setdefault((key.key_id, algorithm), key)
    if not usable:
        raise Unusable("; ".join(["it has no key that we can use", *remarks]))
    only = {algorithm: key for (_, algorithm), key in keys.items()} if usable == 1 else {}
    return KeySet(keys, only, remarks)


def _made(row: Any, issuer: Issuer) -> list[tuple[str, jwt.PyJWK]]:
    """One key for each algorithm that it may be used with. Reasons never repeat what stands in
    it."""
    _refuse_unfit(row)
    made = []
    for algorithm in _fitting(row, issuer.algorithms):
        try:
            key = jwt.PyJWK(row, algorithm)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Unusable("it cannot be read") from error
        if row["kty"] == "RSA" and not RSA_BITS_MIN <= key.key.key_size <= RSA_BITS_MAX:
            raise Unusable(f"an RSA key has {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")
        made.append((algorithm, key))
    if not made:
        raise Unusable("it is for none of the algorithms allowed")
    return made


def _refuse_unfit(row: Any) -> None:
    if not isinstance(row, dict):
        raise Unusable("it is no key")
    if row.get("kty") == "oct":
        raise Unusable("it is symmetric: whoever reads it can make tokens")
    if PRIVATE & row.keys():
        raise Unusable("it is a private key, and no longer a secret")
    if row.get("use", "sig") != "sig":
        raise Unusable("it is not for signatures")
    operations = row.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise Unusable("it does not verify")
    kid = row.get("kid", "")
    if not isinstance(kid, str) or len(kid) > KID_LENGTH_MAX:
        raise Unusable(f"a kid is text of at most {KID_LENGTH_MAX} characters")


def _fitting(row: Mapping[str, Any], allowed: Sequence[str]) -> Iterator[str]:
    said, sort = row.get("alg"), (row.get("kty"), row.get("crv"))
    for algorithm in allowed:
        if said in (None, algorithm) and _SORTS.get(algorithm, RSA) == sort:
            yield algorithm
