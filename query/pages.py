"""`limit` and `skipToken` of a list. Pure.

A skipToken names the last item of the page before. It is signed, so that a client cannot make one,
and bound to the list it came from; every replica that has the keys accepts it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

from secaplane.model.errors import Malformed

LIMIT_DEFAULT = 1000
LIMIT_MAX = 10_000
LIMIT = re.compile(r"[0-9]{1,5}")
DIGEST_BYTES = 16
TOKEN_LENGTH_MAX = 1024
FIRST_PAGE = ("", 0)


def limit(sent: str | None) -> int:
    """Raises Malformed outside 1..LIMIT_MAX."""
    if sent is None:
        return LIMIT_DEFAULT
    if not LIMIT.fullmatch(sent) or not 1 <= int(sent) <= LIMIT_MAX:
        raise Malformed(f"limit takes a whole number from 1 to {LIMIT_MAX}", parameter="limit")
    return int(sent)


def skip_token(after: tuple[str, int], listed: str, keys: Sequence[bytes]) -> str:
    """`after` is (name, life) of the last item shown; the first key signs."""
    name, life = after
    place = f"{life} {name}".encode()
    signed = _digest(keys[0], place, listed) + place
    return base64.urlsafe_b64encode(signed).decode().rstrip("=")


def after(token: str | None, listed: str, keys: Sequence[bytes]) -> tuple[str, int]:
    """The (name, life) after which a page begins. Any of the keys may have signed.

    Raises:
        Malformed: the token was not made here, or for another list.
    """
    if token is None:
        return FIRST_PAGE
    try:
        data = base64.b64decode(
            token[:TOKEN_LENGTH_MAX] + "=" * (-len(token) % 4), altchars=b"-_", validate=True
        )
        digest, place = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
        if any(hmac.compare_digest(digest, _digest(key, place, listed)) for key in keys):
            life, _, name = place.decode().partition(" ")
            return name, int(life)
    except ValueError:
        pass
    raise Malformed(
        "this skipToken does not belong to this list; send the one of the page before, unchanged",
        parameter="skipToken",
    )


def _digest(key: bytes, place: bytes, listed: str) -> bytes:
    return hmac.new(key, listed.encode() + b"\0" + place, hashlib.sha256).digest()[:DIGEST_BYTES]
