"""Points of the past that a request names: a time (RFC 3339), a position in the log (`SECA:73`), or
a version of the resource. Pure."""

import re
from datetime import UTC, datetime

import msgspec

from secaplane.model import position
from secaplane.model.errors import Malformed
from secaplane.model.position import Position

LENGTH_MAX = 100
VERSION = re.compile(r"[0-9]{1,19}")

AsOf = Position | datetime
"""Everything up to and including a position, or a time."""
Point = AsOf | int
"""Or the first state with a `resourceVersion`."""

_decode_time = msgspec.json.Decoder(datetime).decode


def as_of(text: str, parameter: str, *, now: datetime) -> AsOf:
    """The point of the past that a parameter names.

    Raises:
        Malformed: it names none, or one that is not past yet.
    """
    if len(text) <= LENGTH_MAX:
        try:
            return position.parse(text)
        except ValueError:
            time = _time(text)
            if time is not None:
                return _past(time, parameter, now)
    detail = f"{parameter} takes a time such as 2026-11-30T12:00:00Z, or a position such as SECA:73"
    raise Malformed(detail, parameter=parameter)


def point(text: str, parameter: str, *, now: datetime) -> Point:
    """As `as_of`; also a version."""
    return int(text) if VERSION.fullmatch(text) else as_of(text, parameter, now=now)


def version(text: str, parameter: str) -> int:
    """Raises Malformed where the text is no version."""
    if not VERSION.fullmatch(text):
        raise Malformed(f"{parameter} takes a resourceVersion, a whole number", parameter=parameter)
    return int(text)


def _past(time: datetime, parameter: str, now: datetime) -> datetime:
    """A time that is not past yet would have another answer later."""
    if time > now:
        raise Malformed(f"{parameter} is a time that is not past yet", parameter=parameter)
    return time


def _time(text: str) -> datetime | None:
    """In UTC; None where the text is no time, or one outside of the years 1 to 9999. A plus sign
    that is not escaped in a query is a blank."""
    try:
        time = _decode_time(msgspec.json.encode(text.replace(" ", "+")))
        return None if time.tzinfo is None else time.astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        return None
