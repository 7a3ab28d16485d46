"""Who is asking: a bearer token (JWT, RFC 7519) becomes a Caller, or nobody."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jwt
import msgspec

from model.errors import Unauthenticated

ALGORITHMS = ("ES256", "RS256", "EdDSA")
TOKEN_BYTES_MAX = 8192
SUB_LENGTH_MAX = 128
TOKEN_ID_LENGTH_MAX = 128
SKEW_S = 30
EXPIRY_MAX = 253_402_300_800
"""The year 10000."""
REMEMBERED_MAX = 10_000
LOOK_EVERY_S = 5.0
"""How often the files of keys are looked at: how long a withdrawn key may still be believed."""

_jwks = msgspec.json.Decoder(dict[str, list[dict[str, Any]]]).decode


class Caller(msgspec.Struct, frozen=True):
    """(issuer, sub), and the id of the token that said so. Two tokens of one caller are one
    caller."""

    issuer: str
    sub: str
    """With the issuer's prefix: as assignments and operators name it."""
    token: str = ""


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody whose tokens count here."""

    issuer: str
    keys: str
    """Path of a JWKS file (RFC 7517)."""
    prefix: str = ""
    audience: str = ""
    algorithms: tuple[str, ...] = ALGORITHMS


class _Keys:
    """The keys of one issuer by id, as its file has them now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._by_id: Mapping[str, jwt.PyJWK] = {}
        self.look()

    def look(self) -> bool:
        """Read the file if it changed; a file that cannot be read leaves the keys as they were,
        except at the start.

        Raises:
            ValueError: at the start.
        """
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size)
            if stamp == self._stamp:
                return False
            found = jwt.PyJWKSet.from_json(self._path.read_text())
        except (OSError, jwt.PyJWTError, ValueError, AttributeError, TypeError) as error:
            if self._by_id:
                return False
            raise ValueError(f"{self._path}: {error}") from error
        self._by_id, self._stamp = {key.key_id or "": key for key in found.keys}, stamp
        return True

    def get(self, kid: str | None) -> jwt.PyJWK:
        if kid is None and len(self._by_id) == 1:
            return next(iter(self._by_id.values()))
        if kid is None or kid not in self._by_id:
            raise Unauthenticated("the token is signed with a key we do not know")
        return self._by_id[kid]


class Tokens:
    """Tokens as callers. A token that was verified once is remembered until it expires."""

    def __init__(self, issuers: Sequence[Issuer], clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._issuers = {each.issuer: each for each in issuers}
        self._keys = {each.issuer: _Keys(Path(each.keys)) for each in issuers}
        self._looked_at = clock()
        self._remembered: OrderedDict[str, tuple[Caller, float]] = OrderedDict()

    def caller(self, authorization: str | None) -> Caller:
        """The caller whom an Authorization header names.

        Raises:
            Unauthenticated: it names nobody we believe. The detail never repeats the token.
        """
        if not authorization:
            raise Unauthenticated("send a token: Authorization: Bearer <JWT>")
        if self._clock() - self._looked_at > LOOK_EVERY_S:
            self._look()
        remembered = self._remembered.get(authorization)
        if remembered is not None:
            if self._clock() < remembered[1] + SKEW_S:
                return remembered[0]
            del self._remembered[authorization]
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token or len(token) > TOKEN_BYTES_MAX:
            raise Unauthenticated("send a token: Authorization: Bearer <JWT>")
        caller, expires = self._verified(token)
        self._remembered[authorization] = (caller, expires)
        while len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)
        return caller

    def _look(self) -> None:
        """Keys that changed make every token prove itself again."""
        self._looked_at = self._clock()
        if any([keys.look() for keys in self._keys.values()]):
            self._remembered.clear()

    def _verified(self, token: str) -> tuple[Caller, float]:
        try:
            header = jwt.get_unverified_header(token)
            unverified = jwt.decode(token, options={"verify_signature": False})
            issuer = self._issuers.get(str(unverified.get("iss", "")))
            if issuer is None:
                raise Unauthenticated("the token's issuer is not one of ours")
            key = self._keys[issuer.issuer].get(header.get("kid"))
            claims = _verified(token, key, issuer)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(f"the token is not valid: {_said(error)}") from error
        if not isinstance(claims["exp"], int | float) or claims["exp"] > EXPIRY_MAX:
            raise Unauthenticated("the token's exp is no time")
        if float(claims["exp"]) + SKEW_S < self._clock():
            raise Unauthenticated("the token has expired")
        sub, token_id = claims["sub"], str(claims.get("jti", ""))
        if not 1 <= len(sub) <= SUB_LENGTH_MAX or sub == "*" or not _writable(sub):
            raise Unauthenticated("the token's sub names nobody")
        if len(token_id) > TOKEN_ID_LENGTH_MAX or not _writable(token_id):
            raise Unauthenticated("the token's jti cannot be kept")
        caller = Caller(issuer.issuer, issuer.prefix + sub, token_id)
        return caller, float(claims["exp"])


def _verified(token: str, key: jwt.PyJWK, issuer: Issuer) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=list(issuer.algorithms),
        issuer=issuer.issuer,
        audience=issuer.audience or None,
        leeway=SKEW_S,
        options={
            "require": ["sub", "exp"],
            "verify_aud": bool(issuer.audience),
            "verify_iss": bool(issuer.issuer),
        },
    )
    return claims


def _writable(text: str) -> bool:
    """Whether it can be written into an event: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _said(error: Exception) -> str:
    """What is wrong with it, in the library's words, which hold nothing of the token's secrets."""
    return str(error) if isinstance(error, jwt.PyJWTError) else "it cannot be read"
