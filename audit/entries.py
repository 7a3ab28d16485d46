"""What the second stream holds: who was refused, who came, and who read what is privileged.

    seca-refusals.<type>.<digest of the caller, or of the address where nobody is known>

Fixed from the first day, as the log's envelope is: `v` and `type` are written-out constants, and
tests/golden/refusals holds every type and version that was ever written. Nothing here is longer
than it must be, and nothing looks like a token.
"""

import hashlib
import ipaddress
import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

import msgspec

from secaplane.eventlog.codec import Undecodable

VERSION = 1
ROOT = "seca-refusals"
ALL_SUBJECTS = f"{ROOT}.>"
EntryType = Literal["unauthenticated", "forbidden", "login", "read"]
ENTRY_TYPES: tuple[EntryType, ...] = ("unauthenticated", "forbidden", "login", "read")
NAME_LENGTH_MAX = 256
PATH_LENGTH_MAX = 512
REASON_LENGTH_MAX = 256
EXAMINED_MAX = 8192
"""Characters of a text that are looked at at all."""
SECRET_LENGTH_MIN = 8
HIDDEN = "<token>"
NETWORK_V6 = 64
"""Bits of an IPv6 address that one customer has: whoever has one address has all of these."""

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*")
"""How every JWT begins, for its header is a JSON object."""
_HALVES = re.compile(r"[\ud800-\udfff]")


class EntryCaller(msgspec.Struct, frozen=True):
    """A caller and the id of the token that was shown; empty where nobody is known."""

    issuer: str = ""
    sub: str = ""
    token: str = ""


UNKNOWN_CALLER = EntryCaller()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the record. `dropped`: so many of this type and caller came before it, since the
    last one that was kept, and were not kept."""

    v: int
    type: str
    time: datetime
    request: str
    source: str
    caller: EntryCaller
    verb: str
    path: str
    reason: str
    dropped: int


def entry(
    sort: EntryType,
    *,
    time: datetime,
    request: str,
    source: str,
    caller: EntryCaller = UNKNOWN_CALLER,
    verb: str,
    path: str,
    reason: str = "",
    secrets: Sequence[str] = (),
) -> Entry:
    """Everything cut to its length, and without what looks like a token or is one of `secrets`."""
    return Entry(
        v=VERSION,
        type=sort,
        time=time,
        request=_short(request, NAME_LENGTH_MAX, secrets),
        source=_short(source, NAME_LENGTH_MAX, secrets),
        caller=EntryCaller(
            *(_short(each, NAME_LENGTH_MAX) for each in msgspec.structs.astuple(caller))
        ),
        verb=_short(verb, NAME_LENGTH_MAX, secrets),
        path=_short(path, PATH_LENGTH_MAX, secrets),
        reason=_short(reason, REASON_LENGTH_MAX, secrets),
        dropped=0,
    )


def subject(each: Entry) -> str:
    """One for each type and caller, so that the server can bound them one by one."""
    caller = each.caller
    if caller == UNKNOWN_CALLER:
        return f"{ROOT}.{each.type}.{_digest(_neighbours(each.source))}"
    return f"{ROOT}.{each.type}.{_digest(f'{caller.issuer} {caller.sub}')}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def encode(each: Entry) -> bytes:
    return _encode(each)


def decode(data: bytes) -> Entry:
    """Raises:
    Unreadable: not an entry, or of a version or type that this house does not know.
    """
    try:
        found = _decode(data)
    except msgspec.DecodeError as error:
        raise Undecodable(str(error)) from error
    if found.v != VERSION or found.type not in ENTRY_TYPES:
        raise Undecodable(f"entry {found.type} v{found.v} is not known here")
    return found


def _short(text: str, longest: int, secrets: Sequence[str] = ()) -> str:
    """Secrets go first: cut in two they would not be found."""
    text = text[:EXAMINED_MAX]
    for secret in secrets:
        if len(secret) >= SECRET_LENGTH_MIN:
            text = text.replace(secret, HIDDEN)
    if "%" in text and _TOKEN.search(plain := unquote(text)):
        text = plain
    text = _HALVES.sub("\ufffd", _TOKEN.sub(HIDDEN, text))
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@lru_cache(maxsize=4096)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=4096)
def _neighbours(source: str) -> str:
    """All addresses that are bounded as one."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == 4:
        return source
    return str(ipaddress.ip_network((int(address), NETWORK_V6), strict=False))
