"""A trusted issuer of tokens, as the configuration describes it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

ALGORITHMS = ("ES256", "RS256", "EdDSA")
SHARED = "HS256"
"""Signs with a secret that the issuer shares: everyone who can verify a token can make one."""
KNOWN = (*ALGORITHMS, "ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512", SHARED)
WEB = ("https", "http")
REFRESH_S, STALE_S = 300.0, 24 * 3600.0
"""How often keys are fetched, and how long they stay valid while fetching fails."""
REFETCH_INTERVAL_S = 2.0
"""Tokens with unknown keys cause a fetch at most this often, however many arrive."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An issuer whose tokens are accepted.

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
    """Keys may be fetched over http from another machine, where the network is trusted."""

    def __post_init__(self) -> None:
        unknown = sorted({*self.algorithms}.difference(KNOWN))
        if not self.algorithms or unknown:
            raise ValueError(f"algorithms are among {', '.join(KNOWN)}")
        if (SHARED in self.algorithms or self.secret) and (
            self.algorithms != (SHARED,) or not self.secret or self.keys
        ):
            raise ValueError(
                f'{SHARED} excludes everything else: algorithms = ["{SHARED}"], a secret, no keys'
            )
        if self.url:
            refuse_unsafe(self.url, plain_http=self.plain_http)

    @property
    def file(self) -> str:
        """Path of the file with the secret or the keys; empty where there is none."""
        return self.secret or ("" if on_web(self.keys) else self.keys)

    @property
    def discovered(self) -> bool:
        """Whether the keys' URL is found by OpenID Connect Discovery."""
        return not self.keys and not self.secret

    @property
    def url(self) -> str:
        """The URL that is fetched first; empty where a file is read."""
        if self.discovered:
            return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        return "" if self.file else self.keys


def on_web(keys: str) -> bool:
    return "://" in keys


def refuse_unsafe(url: str, *, plain_http: bool) -> None:
    """Require https, or http to this machine (with `plain_http`: to any).

    Raises:
        ValueError: it is neither.
    """
    parts = urlsplit(url)
    if parts.scheme not in WEB or not parts.hostname or parts.username is not None:
        raise ValueError("keys come from a file, or from https://")
    if parts.scheme == "http" and not (plain_http or loopback(parts.hostname)):
        raise ValueError(
            "keys come over https; over http only from this machine, or with plain_http = true"
        )


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
