"""A token issuer, as configured."""

from ipaddress import ip_address
from urllib.parse import urlsplit

import msgspec

from secaplane.model.actor import GROUP

ALGORITHMS = ("ES256", "RS256", "EdDSA")
SHARED = "HS256"
"""Signs with a shared secret: a party that can verify a token can create one."""
KNOWN = (*ALGORITHMS, "ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512", SHARED)
WEB = ("https", "http")
REFRESH_S, STALE_S = 300.0, 24 * 3600.0
"""Interval between fetches of keys, and validity of fetched keys while a fetch fails."""
REFETCH_INTERVAL_S = 2.0
"""Least interval between fetches that tokens with unknown keys cause, however many there are."""


class Issuer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token issuer.

    Raises:
        ValueError: the settings contradict each other, or are not safe.
    """

    issuer: str
    """The `iss` of its tokens."""
    keys: str = ""
    """JWKS (RFC 7517): its URL, or the path of a file, which is read again every 5 s. Empty: found
    by OpenID Connect Discovery."""
    prefix: str = ""
    """Put before the subs of its callers; every issuer but one needs its own."""
    groups_claim: str = ""
    """The claim that lists the groups of a caller: its name, or a JSON pointer such as
    `/realm_access/roles`. A role assignment names a group as `group:<prefix><name>`. Empty: tokens
    name no groups."""
    audience: str = ""
    """The `aud` that its tokens must carry: the name under which it knows this control plane.
    Required, unless `any_audience`."""
    any_audience: bool = False
    """Accept tokens that the issuer made for other services, too. Safe only where it serves this
    control plane alone: otherwise each of those services can act here as its users."""
    algorithms: tuple[str, ...] = ALGORITHMS
    """Accepted signature algorithms."""
    secret: str = ""
    """Path of a file with the shared secret of HS256; then there are no other keys."""
    plain_http: bool = False
    """Accept keys over http from other machines. Safe only where no other party can answer."""

    def __post_init__(self) -> None:
        if self.prefix.startswith(GROUP):
            raise ValueError(f"a prefix does not begin with {GROUP}, which names groups")
        strange = sorted({*self.algorithms}.difference(KNOWN))
        if not self.algorithms or strange:
            raise ValueError(f"algorithms are among {', '.join(KNOWN)}")
        if (SHARED in self.algorithms or self.secret) and (
            self.algorithms != (SHARED,) or not self.secret or self.keys
        ):
            raise ValueError(
                f'{SHARED} allows nothing else: algorithms = ["{SHARED}"], a secret, no keys'
            )
        if bool(self.audience) == self.any_audience:
            raise ValueError(
                f"{self.issuer} needs an audience, the aud of tokens for this control plane; or "
                "any_audience = true, where it makes tokens for no other service"
            )
        if self.url:
            refuse_unsafe(self.url, plain_http=self.plain_http)

    @property
    def file(self) -> str:
        """The file of keys or secret, if there is one."""
        return self.secret or ("" if on_web(self.keys) else self.keys)

    @property
    def discovered(self) -> bool:
        return not self.keys and not self.secret

    @property
    def url(self) -> str:
        """The URL that is fetched first; empty where keys are in a file."""
        if self.discovered:
            return f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        return "" if self.file else self.keys


def on_web(keys: str) -> bool:
    return "://" in keys


def refuse_unsafe(url: str, *, plain_http: bool) -> None:
    """Refuses a URL that is neither https nor http on loopback.

    Raises:
        ValueError: the URL is not safe.
    """
    parts = urlsplit(url)
    if parts.scheme not in WEB or not parts.hostname or parts.username is not None:
        raise ValueError("keys come from a file, or from https://")
    if parts.scheme == "http" and not (plain_http or loopback(parts.hostname)):
        raise ValueError("keys come over https; over http only from loopback or with plain_http")


def loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
