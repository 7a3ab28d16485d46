"""Somebody whose tokens count here: as the configuration says it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

ALGORITHMS = ("ES256", "RS256", "EdDSA")
SHARED = "HS256"
"""Signs with a secret that the issuer and we share; who can check a token can make one."""
KNOWN = (*ALGORITHMS, "ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512", SHARED)
WEB = ("https", "http")
REFRESH_S, STALE_S = 300.0, 24 * 3600.0
"""How often keys are fetched, and how long they are believed while they cannot be."""
ASKED_EVERY_S = 2.0
"""Tokens with unknown keys have them fetched anew at most this often, however many they are."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody whose tokens count here.

    Raises:
        ValueError: its settings contradict each other, or are not safe.
    """

    issuer: str
    keys: str = ""
    """JWKS (RFC 7517): its URL, or the path of a file; empty: found by OpenID Connect Discovery."""
    prefix: str = ""
    audience: str = ""
    algorithms: tuple[str, ...] = ALGORITHMS
    secret: str = ""
    """Path of a file with the shared secret of HS256; then there are no other keys."""
    plain_http: bool = False
    """Keys may come over http from elsewhere than this machine, where nobody else can answer."""

    def __post_init__(self) -> None:
        strange = sorted({*self.algorithms}.difference(KNOWN))
        if not self.algorithms or strange:
            raise ValueError(f"algorithms are among {', '.join(KNOWN)}")
        if (SHARED in self.algorithms or self.secret) and (
            self.algorithms != (SHARED,) or not self.secret or self.keys
        ):
            raise ValueError(f'{SHARED} stands alone: algorithms = ["{SHARED}"], a secret, no keys')
        if self.url:
            refuse_unsafe(self.url, plain_http=self.plain_http)

    @property
    def file(self) -> str:
        """Where keys or secret lie, if in a file."""
        return self.secret or ("" if on_web(self.keys) else self.keys)

    @property
    def discovered(self) -> bool:
        return not self.keys and not self.secret

    @property
    def url(self) -> str:
        """What is asked first, if anybody is asked."""
        if self.discovered:
            return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        return "" if self.file else self.keys


def on_web(keys: str) -> bool:
    return "://" in keys


def refuse_unsafe(url: str, *, plain_http: bool) -> None:
    """https, or http where nobody stands in between.

    Raises:
        ValueError: it is neither.
    """
    parts = urlsplit(url)
    if parts.scheme not in WEB or not parts.hostname or parts.username is not None:
        raise ValueError("keys come from a file, or from https://")
    if parts.scheme == "http" and not (plain_http or loopback(parts.hostname)):
        raise ValueError("keys come over https; over http only from this machine, or if told so")


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
