"""The caller's preconditions of a request, and the entity tags that they name (RFC 9110, sections
8.8.3 and 13.1; SECA `if-unmodified-since`). Pure.

An entity tag is `"<resourceVersion>-<8 of uid>.<digest>"`: the version and the life of a resource,
and a digest of the answer that a GET had. A write compares version and life only, because the
status of a resource may change without any request (deliberately weaker than RFC 9110).
"""

import re
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from secaplane.model.errors import PreconditionFailed
from secaplane.model.shape import Resource

UID_LENGTH = 8
DIGEST_BYTES = 12
_LISTED = re.compile(r'[ \t]*+(?:(W/)?"([!#-~\x80-\xff]*+)"[ \t]*+)?+(?:,|\Z)')
"""Possessive: a header that is no list would cost the square of its blanks, before any token."""
_OURS = re.compile(r"([0-9]{1,19}-[^.]{0,8})\.[0-9a-f]{24}")


class EntityTag(msgspec.Struct, frozen=True):
    """One tag as it was sent: its text without the quotes, and whether it is a weak one."""

    opaque: str
    weak: bool = False

    def names(self, resource: Resource) -> bool:
        """True for a tag of ours with the resource's present version and life."""
        ours = _OURS.fullmatch(self.opaque)
        return ours is not None and ours[1] == _life(resource.version, resource.uid)


class TagCondition(msgspec.Struct, frozen=True):
    """The value of `If-Match` or `If-None-Match`."""

    any: bool = False
    """`*`: every present resource."""
    tags: tuple[EntityTag, ...] = ()
    unreadable: bool = False
    """The header is no list of entity tags: a precondition that cannot be read does not hold."""


class Precondition(msgspec.Struct, frozen=True, kw_only=True):
    """All preconditions of one request; each that was sent must hold."""

    version: int | None = None
    """`if-unmodified-since`: the version that the caller read last; 0: there is no resource."""
    match: TagCondition | None = None
    none_match: TagCondition | None = None


UNCONDITIONAL = Precondition()
ABSENT = Precondition(version=0)
"""The resource must not exist yet."""


def refuse_failed(precondition: Precondition, resource: Resource | None) -> None:
    """Raises PreconditionFailed, with the name of the header that does not hold."""
    for header, detail in (
        ("if-unmodified-since", _version_failure(precondition.version, resource)),
        ("If-Match", _match_failure(precondition.match, resource)),
        ("If-None-Match", _none_match_failure(precondition.none_match, resource)),
    ):
        if detail:
            raise PreconditionFailed(f"{detail}; read it again", parameter=header)


def tag(body: bytes, version: int, uid: str) -> str:
    """The entity tag of a resource's answer, with its quotes."""
    return f'"{_life(version, uid)}.{digest(body)}"'


def digest(body: bytes) -> str:
    return blake2b(body, digest_size=DIGEST_BYTES).hexdigest()


def tag_condition(headers: Iterable[str]) -> TagCondition | None:
    """The condition in all headers of one name, None without any; cost is linear."""
    sent = list(headers)
    if not sent:
        return None
    text = ",".join(sent)
    if text.strip() == "*":
        return TagCondition(any=True)
    tags, place = list[EntityTag](), 0
    while place < len(text):
        listed = _LISTED.match(text, place)
        if listed is None:
            return TagCondition(unreadable=True)
        if listed[2] is not None:
            tags.append(EntityTag(listed[2], listed[1] is not None))
        place = listed.end()
    return TagCondition(tags=tuple(tags))


def _life(version: int, uid: str) -> str:
    return f"{version}-{uid[:UID_LENGTH]}"


def _version_failure(expected: int | None, resource: Resource | None) -> str:
    version = resource.version if resource else 0
    if expected is None or expected == version:
        return ""
    if resource is None:
        return f"the resource does not exist, so it has no version {expected}"
    if expected == 0:
        return f"name already in use by a resource at version {version}"
    return f"the resource is at version {version}, not {expected}"


def _match_failure(condition: TagCondition | None, resource: Resource | None) -> str:
    if condition is None:
        return ""
    if condition.unreadable:
        return _UNREADABLE
    if resource is None:
        return "the resource does not exist, so no entity tag matches it"
    if condition.any or any(each.names(resource) and not each.weak for each in condition.tags):
        return ""
    return f"no entity tag names the resource at its version {resource.version}"


def _none_match_failure(condition: TagCondition | None, resource: Resource | None) -> str:
    if condition is None:
        return ""
    if condition.unreadable:
        return _UNREADABLE
    if resource is None:
        return ""
    if condition.any:
        return f"name already in use by a resource at version {resource.version}"
    if any(each.names(resource) for each in condition.tags):
        return f"the resource is still at version {resource.version}"
    return ""


_UNREADABLE = "the header takes * or entity tags in double quotes, as the ETag of a GET gives them"
