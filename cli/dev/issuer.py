"""A token issuer for development: a private key, and the JWKS file with its public key."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

ALGORITHM = "ES256"
KID = "dev-1"


@dataclass(frozen=True)
class DevIssuer:
    name: str
    key: dict[str, Any]
    """The private key as a JWK (RFC 7517)."""

    @staticmethod
    def kept(private: Path, public: Path, name: str) -> "DevIssuer":
        """The issuer with the key in the file `private`, created if absent; writes `public`."""
        if not private.exists():
            made = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()), as_dict=True)
            fresh = private.with_suffix(".fresh")
            fresh.touch(mode=0o600)
            fresh.write_bytes(msgspec.json.encode(made | {"kid": KID, "use": "sig"}))
            fresh.rename(private)  # atomically
        key = msgspec.json.decode(private.read_bytes(), type=dict[str, Any])
        shown = {k: v for k, v in key.items() if k not in ("d", "key_ops")}
        public.write_bytes(msgspec.json.encode({"keys": [shown | {"alg": ALGORITHM}]}))
        return DevIssuer(name, key)

    def token(self, sub: str, *, hours: float, **claims: Any) -> str:
        now = int(time.time())
        registered = {"iss": self.name, "sub": sub, "iat": now, "exp": now + int(hours * 3600)}
        key = jwt.PyJWK(self.key, algorithm=ALGORITHM)
        return jwt.encode(
            registered | {"jti": uuid4().hex} | claims,
            key,
            algorithm=ALGORITHM,
            headers={"kid": KID},
        )
