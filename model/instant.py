"""Times in texts of the API (RFC 3339), which are kept as they were sent. Pure."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

_WithOffset = Annotated[datetime, Meta(tz=True)]


def instant_of(text: str) -> datetime:
    """The time that a text names.

    Raises:
        ValueError: it is no time with an offset.
    """
    instant: datetime = msgspec.convert(text, _WithOffset)
    return instant


def is_instant(text: str) -> bool:
    try:
        instant_of(text)
    except ValueError:
        return False
    return True


Instant = Annotated[str, Meta(max_length=64, extra_json_schema={"format": "date-time"})]
