"""Entries of the security audit stream and their wire format: requests that were refused (401, 403)
and writes that were refused with another status, logins, allowed reads of privileged kinds, orphans
that were removed from the cloud, destroyed keys, starts and stops of processes, and the root over
the heads of all tenant lives. Pure.

    seca-audit.<type>.<digest of the caller, or of the client address where no caller is known,
                       or of the name of a process>
    seca-audit.heads.all

The format is fixed: `v` and `type` are written-out constants, and tests/golden/audit holds every
type and version that was ever written. Every text is cut to a maximum length, and tokens are
removed from it first.
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
from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from secaplane.eventlog.codec import NOT_JSON, Undecodable
from secaplane.model.reasons import reason_of

VERSION = 2
ROOT = "seca-audit"
ALL_SUBJECTS = f"{ROOT}.>"
EntryType = Literal[
    "unauthenticated",
    "forbidden",
    "refused",
    "login",
    "read",
    "orphan-removed",
    "key-destroyed",
    "process-started",
    "process-stopped",
    "heads",
]
ENTRY_TYPES: tuple[EntryType, ...] = (
    "unauthenticated",
    "forbidden",
    "refused",
    "login",
    "read",
    "orphan-removed",
    "key-destroyed",
    "process-started",
    "process-stopped",
    "heads",
)
SUBJECTS_OF_RECONCILERS = f"{ROOT}.orphan-removed.>"
"""Besides those of every process, the only entries that the reconcilers write."""
SUBJECTS_OF_PROCESSES = (f"{ROOT}.process-started.>", f"{ROOT}.process-stopped.>")
"""Entries that every process writes."""
HEADS_SUBJECT = f"{ROOT}.heads.all"
ALLOWS_IT = " allows it"
"""End of the reason of an allowed read; the assignment stands before it."""
NAME_LENGTH_MAX = 256
PATH_LENGTH_MAX = 512
REASON_LENGTH_MAX = 256
EXAMINED_MAX = 8192
"""Characters of a text that are examined; the rest is discarded."""
SECRET_LENGTH_MIN = 8
HIDDEN = "<token>"
NETWORK_V6 = 64
"""Prefix length of the IPv6 network of one customer, who can use every address in it."""

_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{4,}(\.[A-Za-z0-9_-]*)*")
"""The beginning of every JWT: its header is a JSON object in base64url."""
_SURROGATES = re.compile(r"[\ud800-\udfff]")


class EntryCaller(msgspec.Struct, frozen=True):
    """A caller, the id (`jti`) of the token that was sent, and the groups that the token names;
    empty where no caller is known."""

    issuer: str = ""
    sub: str = ""
    token: str = ""
    groups: tuple[str, ...] | UnsetType = UNSET


UNKNOWN_CALLER = EntryCaller()
ALL_TENANTS = "*"
"""In place of a uid: the entry concerns every tenant."""


class EntryTenant(msgspec.Struct, frozen=True):
    """The tenant that a request was about, as the process that judged it knew it."""

    uid: str
    """Of the life of the tenant, or ALL_TENANTS."""
    known: bool
    """An assignment of the tenant names the caller or one of its groups, or the caller is an
    operator."""
    policy: str
    """Revision of the authorization policy that was applied, a position."""


class ProcessFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the control plane, for entries about its start and its stop."""

    name: str
    version: str
    instance: str
    """Random, of one run of the process."""
    clock_offset_us: int | None = None
    """Offset of the clock that the kernel was given by NTP; None: unknown."""
    clock_error_us: int | None = None
    """Upper limit of the clock's error; None: unknown."""


class HeadsFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The heads of all tenant lives at one time (`audit.heads.tree`)."""

    root: bytes
    """Of the tree over them."""
    size: int
    """Number of heads."""
    streams: dict[str, int]
    """By stream: the events that the heads are about."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the stream."""

    v: int
    type: str
    time: datetime
    request: str
    client_address: str
    caller: EntryCaller
    verb: str
    path: str
    reason: str
    dropped: int
    """Entries of the same type and caller that were dropped since the last one that was kept."""
    process: ProcessFacts | UnsetType = UNSET
    heads: HeadsFacts | UnsetType = UNSET
    keys: tuple[str, ...] | UnsetType = UNSET
    """Names of keys that were destroyed, each with its id: `body.<uid of a tenant life>:<id>`."""
    user_agent: str | UnsetType = UNSET
    concerns: EntryTenant | UnsetType = UNSET
    """Unset where the request names no tenant, or one that the process does not know."""
    status: int | UnsetType = UNSET
    """Of the answer (HTTP); of the type `refused` alone, the others have one status each."""


def entry(
    entry_type: EntryType,
    *,
    time: datetime,
    request: str,
    client_address: str,
    caller: EntryCaller = UNKNOWN_CALLER,
    verb: str,
    path: str,
    reason: str = "",
    process: ProcessFacts | UnsetType = UNSET,
    user_agent: str = "",
    concerns: EntryTenant | UnsetType = UNSET,
    keys: tuple[str, ...] | UnsetType = UNSET,
    status: int | UnsetType = UNSET,
    secrets: Sequence[str] = (),
) -> Entry:
    """An entry whose texts are cut to their maximum length and contain neither a text of `secrets`
    nor anything that has the form of a JWT."""
    return Entry(
        v=VERSION,
        type=entry_type,
        time=time,
        request=_cleaned(request, NAME_LENGTH_MAX, secrets),
        client_address=_cleaned(client_address, NAME_LENGTH_MAX, secrets),
        caller=EntryCaller(
            _cleaned(caller.issuer, NAME_LENGTH_MAX),
            _cleaned(caller.sub, NAME_LENGTH_MAX),
            _cleaned(caller.token, NAME_LENGTH_MAX),
            tuple(_cleaned(each, NAME_LENGTH_MAX) for each in caller.groups or ()) or UNSET,
        ),
        verb=_cleaned(verb, NAME_LENGTH_MAX, secrets),
        path=_cleaned(path, PATH_LENGTH_MAX, secrets),
        reason=_cleaned(reason, REASON_LENGTH_MAX, secrets),
        dropped=0,
        process=process,
        keys=keys,
        user_agent=_cleaned(user_agent, NAME_LENGTH_MAX, secrets) or UNSET,
        concerns=concerns,
        status=status,
    )


def tenant_in(path: str) -> str:
    """The name of the tenant in the path of a request; empty where there is none."""
    steps = path.partition("?")[0].split("/")
    place = steps.index("tenants") + 1 if "tenants" in steps else len(steps)
    return steps[place] if place < len(steps) else ""


def heads_entry(facts: HeadsFacts, *, time: datetime) -> Entry:
    """An entry that commits to the heads of all tenant lives."""
    made = entry("heads", time=time, request="", client_address="", verb="", path="")
    return replace(made, heads=facts)


def allowed_by(each: Entry) -> str:
    """The assignment that allowed a read; empty for any other entry."""
    if each.type != "read" or not each.reason.endswith(ALLOWS_IT):
        return ""
    return each.reason.removesuffix(ALLOWS_IT)


class _SaltedEntry(Entry, frozen=True, kw_only=True):
    salt: bytes


def subject(each: Entry) -> str:
    """The subject of an entry: one for each type and caller, so that the server can limit each; of
    starts and stops, for each process, so that one that restarts often displaces no other's."""
    caller = each.caller
    if each.type == "heads":
        return HEADS_SUBJECT
    if isinstance(each.process, ProcessFacts):
        return f"{ROOT}.{each.type}.{_digest(f'process {each.process.name}')}"
    if caller == UNKNOWN_CALLER:
        return f"{ROOT}.{each.type}.{_digest(_network(each.client_address))}"
    return f"{ROOT}.{each.type}.{_digest(f'{caller.issuer} {caller.sub}')}"


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def encode(each: Entry, salt: bytes = b"") -> bytes:
    """The bytes of an entry. Random bytes as `salt` make a digest of them say nothing about their
    contents; readers ignore them."""
    return _encode(_SaltedEntry(**asdict(each), salt=salt) if salt else each)


def decode(data: bytes) -> Entry:
    """An entry from its stored bytes.

    Raises:
        Undecodable: not an entry, or of a version or type that this release does not know.
    """
    try:
        decoded = _decode(data)
    except NOT_JSON as error:
        raise Undecodable(reason_of(error)) from error
    if decoded.v != VERSION or decoded.type not in ENTRY_TYPES:
        raise Undecodable(f"entry {decoded.type} v{decoded.v} is not known to this release")
    return decoded


def _cleaned(text: str, length_max: int, secrets: Sequence[str] = ()) -> str:
    """Secrets are removed before the text is cut: half of a secret would not be recognised."""
    text = text[:EXAMINED_MAX]
    for secret in secrets:
        if len(secret) >= SECRET_LENGTH_MIN:
            text = text.replace(secret, HIDDEN)
    if "%" in text and _TOKEN.search(plain := unquote(text)):
        text = plain
    text = _SURROGATES.sub("\ufffd", _TOKEN.sub(HIDDEN, text))
    return text if len(text) <= length_max else f"{text[: length_max - 1]}…"


@lru_cache(maxsize=4096)
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=4096)
def _network(client_address: str) -> str:
    """The addresses that share one limit: one IPv4 address, or one IPv6 /64."""
    try:
        address = ipaddress.ip_address(client_address)
    except ValueError:
        return client_address
    if address.version == 4:
        return client_address
    return str(ipaddress.ip_network((int(address), NETWORK_V6), strict=False))
