"""Verification of bearer tokens: a JWT (RFC 7519) becomes a Caller, or is refused.

Of a token's header only `kid` is trusted, to select a key: `jku`, `x5u` and `jwk` are ignored, and
`alg` counts only where the key and the issuer's settings agree (RFC 8725).
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

from secaplane.model.actor import GROUP, RESERVED_SUBS
from secaplane.model.errors import Unauthenticated
from secaplane.policy.tokens.groups import groups_of
from secaplane.policy.tokens.keys import IssuerKeys
from secaplane.policy.tokens.revocations import Revocations

TOKEN_BYTES_MAX = 16 * 1024
SUB_LENGTH_MAX = 128
TOKEN_ID_LENGTH_MAX = 128
SKEW_S = 30
TIME_MAX = 253_402_300_800
"""The year 10000."""
CACHED_MAX = 10_000
JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
TOKEN_TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
"""Accepted values of `typ`: other tokens are signed with the same keys, too (RFC 8725)."""


KeyName = tuple[str | None, str]
"""The key id (`kid`) and algorithm that a token names."""


class Caller(msgspec.Struct, frozen=True):
    """(issuer, sub), the id of the token (`jti`), and the groups that it names. Two tokens of one
    (issuer, sub) are one caller, who holds by each token what its groups hold."""

    issuer: str
    sub: str
    """With the issuer's prefix, as assignments and the configuration name it."""
    token: str = ""
    groups: tuple[str, ...] = ()
    """As assignments name them, sorted; at most `GROUPS_MAX`."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """All that an assignment can name the caller by, but `*`."""
        return (self.sub, *self.groups)


class _VerifiedToken(msgspec.Struct, frozen=True):
    """The caller and times of a token, and the key that verified it."""

    caller: Caller
    issued_at: float
    expires: float
    keys: IssuerKeys
    key_name: KeyName
    key: jwt.PyJWK


class _UnknownKey(Exception):
    """The token is signed with an unknown key, which the issuer may have added recently."""

    def __init__(self, keys: IssuerKeys, key_name: KeyName) -> None:
        self.keys, self.key_name = keys, key_name


class TokenVerifier:
    """Verifies tokens. A verified token is cached by its digest, and accepted until it expires or
    is revoked, or its key is no longer the issuer's."""

    def __init__(
        self,
        issuers: Sequence[IssuerKeys],
        revocations: Revocations,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock, self._revocations = clock, revocations
        self._issuers = {each.issuer.issuer: each for each in issuers}
        self._salt = secrets.token_bytes(32)
        self._cached: OrderedDict[bytes, _VerifiedToken] = OrderedDict()

    async def caller(self, authorization: str | None) -> Caller:
        """The caller of an Authorization header. Waits only for a key that is unknown, and bounded.

        Raises:
            Unauthenticated: no valid token of a trusted issuer. The detail never repeats the token.
            Unavailable: the keys of its issuer are not known, or stale.
        """
        token = _bearer(authorization)
        digest = blake2b(token.encode("utf-8", "replace"), key=self._salt, digest_size=32).digest()
        verified = self._cached.get(digest)
        if verified is None or verified.keys.find(*verified.key_name) is not verified.key:
            verified = await self._verified(token)
            self._cached[digest] = verified
            while len(self._cached) > CACHED_MAX:
                self._cached.popitem(last=False)
        if verified.expires + SKEW_S < self._clock():
            self._cached.pop(digest, None)
            raise Unauthenticated("the token has expired")
        caller = verified.caller
        if self._revocations.include(caller.sub, caller.token, self._known_issue(verified)):
            raise Unauthenticated("the token has been revoked")
        return caller

    def _known_issue(self, verified: _VerifiedToken) -> float:
        """The time of issue, 0 where it is not known. One in the future says nothing about when a
        token was made, and must not outlast every revocation of its sub."""
        ahead = verified.issued_at > self._clock() + SKEW_S
        return 0.0 if ahead else verified.issued_at

    async def _verified(self, token: str) -> _VerifiedToken:
        try:
            return self._verify(token)
        except _UnknownKey as unknown:
            keys, (kid, algorithm) = unknown.keys, unknown.key_name
        await keys.refetch(lambda: kid is not None and keys.find(kid, algorithm) is not None)
        try:
            return self._verify(token)
        except _UnknownKey:
            raise Unauthenticated("the token is signed with an unknown key") from None

    def _verify(self, token: str) -> _VerifiedToken:
        try:
            header, unverified = _parts(token)
            keys = self._issuers.get(str(unverified.get("iss", "")))
            if keys is None:
                raise Unauthenticated("the token's issuer is not trusted")
            claims, key_name, key = _claims(token, header, keys)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise Unauthenticated(f"the token is not valid: {_reason(error)}") from error
        expires, issued_at = _time_claim(claims, "exp"), _time_claim(claims, "iat")
        sub, token_id = claims["sub"], claims.get("jti", "")
        if not 1 <= len(sub) <= SUB_LENGTH_MAX or sub == "*" or not _writable(sub):
            raise Unauthenticated("the token's sub is not a valid name")
        if len(token_id) > TOKEN_ID_LENGTH_MAX or not _writable(token_id):
            raise Unauthenticated("the token's jti is not a valid id")
        groups = groups_of(claims, keys.issuer, self._prefix_of)
        caller = Caller(keys.issuer.issuer, keys.issuer.prefix + sub, token_id, groups)
        if caller.sub in RESERVED_SUBS:
            raise Unauthenticated("the token's sub is reserved for the control plane")
        if caller.sub.startswith(GROUP):
            raise Unauthenticated(f"the token's sub begins with {GROUP}, which names groups")
        if self._prefix_of(caller.sub) != keys.issuer.prefix:
            raise Unauthenticated("the token's sub has the prefix of another issuer")
        return _VerifiedToken(caller, issued_at, expires, keys, key_name, key)

    def _prefix_of(self, sub: str) -> str:
        """The longest issuer prefix of a sub: only that issuer may authenticate it."""
        prefixes = (each.issuer.prefix for each in self._issuers.values())
        return max(filter(sub.startswith, prefixes), key=len, default="")


def _bearer(authorization: str | None) -> str:
    """The token of `Bearer 1*SP token` (RFC 6750, section 2.1)."""
    if authorization is None:
        raise Unauthenticated("send a token: Authorization: Bearer <JWT>")
    scheme, _, token = authorization.partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer":
        raise Unauthenticated("the scheme is not Bearer; send Authorization: Bearer <JWT>")
    if not token:
        raise Unauthenticated("the token is empty; send Authorization: Bearer <JWT>")
    if len(token) > TOKEN_BYTES_MAX:
        raise Unauthenticated(
            f"the token is too large: {len(token)} bytes, at most {TOKEN_BYTES_MAX} are accepted; "
            "have its issuer leave out claims, such as groups"
        )
    return token


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified; parsed more strictly than the library does.

    Raises:
        ValueError, RecursionError: not a JWT.
    """
    if not JWT.fullmatch(token):
        raise Unauthenticated("the token is malformed: it is no signed JWT, three parts with dots")
    header, claims, _ = token.split(".")
    return _object(base64url_decode(header)), _object(base64url_decode(claims))


def _object(text: bytes) -> dict[str, Any]:
    parsed = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    if isinstance(parsed, dict):
        return parsed
    raise ValueError("it is no object")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Duplicate claims are refused: two readers could take different ones, and see two callers."""
    claims = dict(pairs)
    if len(claims) < len(pairs):
        raise ValueError("it has a duplicate key")
    return claims


def _no_constant(text: str) -> NoReturn:
    raise ValueError("it is no number")


def _claims(
    token: str, header: dict[str, Any], keys: IssuerKeys
) -> tuple[dict[str, Any], KeyName, jwt.PyJWK]:
    """The verified claims, and the key that the token is signed with."""
    token_type, algorithm, kid = header.get("typ"), header.get("alg"), header.get("kid")
    if (token_type.lower() if isinstance(token_type, str) else token_type) not in TOKEN_TYPES:
        raise Unauthenticated("the token is not an access token: see its typ")
    if algorithm not in keys.issuer.algorithms:
        raise Unauthenticated("the token's algorithm is not one of its issuer's")
    if not isinstance(kid, str | None) or "crit" in header:
        raise Unauthenticated("the token's header has an extension that is not supported")
    key_name = (kid, str(algorithm))
    key = keys.find(*key_name)
    if key is None:
        raise _UnknownKey(keys, key_name)
    try:
        return _decoded(token, key, keys), key_name, key
    except jwt.InvalidSignatureError:
        if kid is None and not keys.issuer.secret:  # the only key may have been replaced
            raise _UnknownKey(keys, key_name) from None
        raise


def _decoded(token: str, key: jwt.PyJWK, keys: IssuerKeys) -> dict[str, Any]:
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
            "verify_iat": False,
        },
    )
    return claims


def _time_claim(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name, 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= TIME_MAX:
        raise Unauthenticated(f"the token's {name} is no time")
    return float(value)


def _writable(text: str) -> bool:
    """True if an event can hold a text: no NUL, no half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _reason(error: Exception) -> str:
    """The library's message, which repeats nothing of the token's contents."""
    return str(error) if isinstance(error, jwt.PyJWTError) else "it cannot be read"
