"""Keys of issuers, their published JWKS, and tokens signed with them."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from secaplane.model.errors import Unauthenticated
from secaplane.policy.tokens.caller import Caller, TokenVerifier
from secaplane.policy.tokens.issuer import Issuer
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations

ISSUER = "https://id.example.org"
JANE = Caller(ISSUER, "jane", "t-1")
EC, EC_OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ED = ed25519.Ed25519PrivateKey.generate()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass(frozen=True)
class In:
    """A time in seconds from its use, not from import: earlier tests may have taken a while."""

    seconds: int

    @property
    def from_now(self) -> int:
        return int(time.time()) + self.seconds


CLAIMS = {"iss": ISSUER, "sub": "jane", "exp": int(time.time()) + 3600, "jti": "t-1"}


@dataclass
class Clock:
    now: float = field(default_factory=time.time)

    def __call__(self) -> float:
        return self.now


def private(key: Any) -> dict[str, Any]:
    """The private key as a JWK."""
    as_jwk: Any = {
        ec.EllipticCurvePrivateKey: ECAlgorithm.to_jwk,
        rsa.RSAPrivateKey: RSAAlgorithm.to_jwk,
        ed25519.Ed25519PrivateKey: OKPAlgorithm.to_jwk,
    }
    make = next(make for type_, make in as_jwk.items() if isinstance(key, type_))
    jwk: dict[str, Any] = make(key, as_dict=True)
    return jwk


def public(kid: str | None, key: Any) -> dict[str, Any]:
    """The public key as a JWK."""
    whole = private(key)
    half = {name: whole[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in whole}
    return half | ({} if kid is None else {"kid": kid})


def shown(**keys: Any) -> bytes:
    return msgspec.json.encode({"keys": [public(kid, key) for kid, key in keys.items()]})


def jwks(path: Path, **keys: Any) -> Path:
    path.write_bytes(shown(**keys))
    return path


def signed(
    key: Any = EC,
    kid: str | None = "ec",
    algorithm: str = "ES256",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    present = {name: value for name, value in (CLAIMS | claims).items() if value is not None}
    payload = {
        name: value.from_now if isinstance(value, In) else value for name, value in present.items()
    }
    named = {"kid": kid} if kid is not None else {}
    return jwt.encode(payload, key, algorithm=algorithm, headers=named | (header or {}))


def verifier(
    *issuers: Issuer, clock: Clock | None = None, revocations: Revocations | None = None
) -> TokenVerifier:
    """A verifier with keys from files; it never waits for a fetch."""
    keys = [IssuerKeys(each, wait_s=0) for each in issuers]
    return TokenVerifier(keys, revocations or Revocations(), clock or time.time)


async def asked(tokens: TokenVerifier, token: str) -> Caller:
    return await tokens.caller(f"Bearer {token}")


async def refused(tokens: TokenVerifier, authorization: str | None) -> str:
    """The reason of a refusal. The token is tried twice: the second try meets the cache."""
    for _ in range(2):
        with pytest.raises(Unauthenticated) as raised:
            await tokens.caller(authorization)
    return raised.value.detail
