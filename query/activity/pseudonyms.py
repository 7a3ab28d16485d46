"""Names of callers that a tenant does not know. Pure.

A caller has the same name in one life of a tenant, and another one in every other: tenants cannot
compare them, and the name says nothing about the caller without the key.
"""

import hashlib
import hmac
import re

DIGITS = 16
PREFIX = "stranger-"
UNAUTHENTICATED = "unauthenticated"
"""All requests without a valid token together."""
PURPOSE = b"secaplane/pseudonym/v1\n"
_PSEUDONYM = re.compile(rf"{PREFIX}[0-9a-f]{{{DIGITS}}}")


def pseudonym(key: bytes, tenant: str, issuer: str, sub: str) -> str:
    """`tenant` is the uid of the tenant's life. Issuer and sub are separated by their lengths, so
    that no other pair makes the same text."""
    if not issuer and not sub:
        return UNAUTHENTICATED
    text = f"{tenant}\n{len(issuer)}\n{issuer}\n{sub}"
    digest = hmac.new(key, PURPOSE + text.encode(), hashlib.sha256).hexdigest()
    return f"{PREFIX}{digest[:DIGITS]}"


def is_pseudonym(text: str) -> bool:
    return text == UNAUTHENTICATED or _PSEUDONYM.fullmatch(text) is not None
