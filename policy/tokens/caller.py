"""Who is asking: a bearer token (JWT, RFC 7519) becomes a Caller, or nobody.

The header names a key by `kid`, and nothing else in it is believed: not `jku`, `x5u` or `jwk`, and
`alg` only where the key and the issuer's settings say the same.
"""

import json
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, NoReturn

import jwt
import msgspec
from jwt.utils import base64url_decode

from secaplane.model.errors import Unauthenticated
from secaplane.model.events import RESERVED_SUBS
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations

TOKEN_BYTES_MAX = 8192
SUB_LENGTH_MAX = 128
TOKEN_ID_LENGTH_MAX = 128
SKEW_S = 30
TIME_MAX = 253_402_300_800
"""The year 10000."""
REMEMBERED_MAX = 10_000
JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TOKEN_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
"""What `typ` may say: logout tokens and their like are signed with the same keys (RFC 8725)."""


class Caller(msgspec.Struct, frozen=True):
    """(issuer, sub), and the id of the token that said so. Two tokens of one caller are one
    caller."""

    issuer: str
    sub: str
    """With the issuer's prefix: as assignments and operators name it."""
    token: str = ""


class _Proved(msgspec.Struct, frozen=True):
    """What a token was found to say, and the key that vouched for it."""

    caller: Caller
    issued_at: float
    expires: float
    keys: IssuerKeys
    named: tuple[str | None, str]
    key: jwt.PyJWK


class _Stranger(Exception):
    """The token is signed with a key we do not know; perhaps it is a new one."""

    def __init__(self, keys: IssuerKeys, named: tuple[str | None, str]) -> None:
        self.keys, self.named = keys, named


class TokenVerifier:
    """Tokens as callers. One that was proved is remembered by its digest, for as long as it has not
    expired, nobody has revoked it, and its key still stands for its issuer."""

    def __init__(
        self,
        issuers: Sequence[IssuerKeys],
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._revocations = clock, revocations
        self._issuers = {each.issuer.issuer: each for each in issuers}
        self._salt = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, _Proved] = OrderedDict()

    async def caller(self, authorization: str | None) -> Caller:
        """The caller whom an Authorization header names. Waits only for a key that we do not know,
        and not long.

        Raises:
            Unauthenticated: it names nobody we believe. The detail never repeats the token.
            Unavailable: the keys of its issuer have never been had, or not for long.
        """
        token = _bearer(authorization)
        digest = blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=32).digest()
        proved = self._remembered.get(digest)
        if proved is None or proved.keys.named(*proved.named) is not proved.key:
            proved = await self._proved(token)
            self._remembered[digest] = proved
            while len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        if proved.expires + SKEW_S < self._clock():
            self._remembered.pop(digest, None)
            raise Unauthenticated("the token has expired")
        caller = proved.caller
        if self._revocations.include(caller.sub, caller.token, proved.issued_at):
            raise Unauthenticated("the token has been revoked")
        return caller

    async def _proved(self, token: str) -> _Proved:
        try:
            return self._prove(token)
        except _Stranger as stranger:
            keys, named = stranger.keys, stranger.named
        await keys.anew(lambda: named[0] is not None and keys.named(*named) is not None)
        try:
            return self._prove(token)
        except _Stranger:
            raise Unauthenticated("the token is signed with a key we do not know") from None

    def _prove(self, token: str) -> _Proved:
        try:
            header, unverified = _parts(token)
            keys = self._issuers.get(str(unverified.get("iss", "")))
            if keys is None:
                raise Unauthenticated("the token's issuer is not one of ours")
            claims, named, key = _vouched(token, header, keys)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated(f"the token is not valid: {_said(error)}") from error
        expires, issued_at = _moment(claims, "exp"), _moment(claims, "iat")
        sub, token_id = claims["sub"], claims.get("jti", "")
        if not 1 <= len(sub) <= SUB_LENGTH_MAX or sub == "*" or not _writable(sub):
            raise Unauthenticated("the token's sub names nobody")
        if len(token_id) > TOKEN_ID_LENGTH_MAX or not _writable(token_id):
            raise Unauthenticated("the token's jti cannot be kept")
        caller = Caller(keys.issuer.issuer, keys.issuer.prefix + sub, token_id)
        if caller.sub in RESERVED_SUBS:
            raise Unauthenticated("the token's sub names the house itself")
        if self._vouching(caller.sub) != keys.issuer.prefix:
            raise Unauthenticated("the token's sub is named as another issuer's callers are")
        return _Proved(caller, issued_at, expires, keys, named, key)

    def _vouching(self, sub: str) -> str:
        """The prefix of whoever alone may vouch for that name: the longest that it begins with."""
        prefixes = (each.issuer.prefix for each in self._issuers.values())
        return max(filter(sub.startswith, prefixes), key=len, default="")


def _bearer(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > TOKEN_BYTES_MAX:
        raise Unauthenticated("send a token: Authorization: Bearer <JWT>")
    return token


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified; read more strictly than the library does.

    Raises:
        ValueError, RecursionError: they are not what a JWT has.
    """
    if not JWT.fullmatch(token):
        raise ValueError("it is no signed JWT")
    header, claims, _ = token.split(".")
    return _object(base64url_decode(header)), _object(base64url_decode(claims))


def _object(text: bytes) -> dict[str, Any]:
    found = json.loads(text.decode(), object_pairs_hook=_once_each, parse_constant=_no_number)
    if isinstance(found, dict):
        return found
    raise ValueError("it is no object")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Who reads the first of two claims and who reads the last would see different callers."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("it says something twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError("it is no number")


def _vouched(
    token: str, header: dict[str, Any], keys: IssuerKeys
) -> tuple[dict[str, Any], tuple[str | None, str], jwt.PyJWK]:
    """The claims, and the key that they are signed with."""
    sort, algorithm, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if (sort.lower() if isinstance(sort, str) else sort) not in TOKEN_TYPES:
        raise Unauthenticated("the token is of a sort that names no caller")
    if algorithm not in keys.issuer.algorithms:
        raise Unauthenticated("the token is signed in a way that its issuer does not sign")
    if not isinstance(kid, str | None) or "crit" in header:
        raise Unauthenticated("the token's header asks for what we do not know")
    named = (kid, str(algorithm))
    key = keys.named(*named)
    if key is None:
        raise _Stranger(keys, named)
    try:
        return _verified(token, key, keys), named, key
    except jwt.InvalidSignatureError:
        if kid is None and not keys.issuer.secret:  # the only key may have been replaced
            raise _Stranger(keys, named) from None
        raise


def _verified(token: str, key: jwt.PyJWK, keys: IssuerKeys) -> dict[str, Any]:
    issuer = keys.issuer
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


def _moment(claims: dict[str, Any], name: str) -> float:
    said = claims.get(name, 0)
    if not isinstance(said, int | float) or isinstance(said, bool) or not 0 <= said <= TIME_MAX:
        raise Unauthenticated(f"the token's {name} is no time")
    return float(said)


def _writable(text: str) -> bool:
    """Whether it can be written into an event: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _said(error: Exception) -> str:
    """What is wrong with it, in the library's words, which hold nothing of the token's secrets."""
    return str(error) if isinstance(error, jwt.PyJWTError) else "it cannot be read"
