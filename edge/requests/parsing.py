"""Strict parsing of the headers that have an effect. Pure. Bodies: `strict_json`."""

import re

from secaplane.model.errors import NotAcceptable, UnsupportedMediaType

MEDIA_TYPES = ("application/json", "application/*", "*/*")
HEADER_LENGTH_MAX = 4096
"""Of a header that is parsed part by part."""
DELETED = {"true": None, "only": True, "false": False}
"""The value of `deleted` in Accept: `true` lists deleted resources too, `only` nothing else."""

_NOT_AT_ALL = re.compile(r"q=0(\.0*)?")


def deleted(accept: str | None) -> bool | None:
    """Which of a collection an Accept header asks for: False living, True deleted, None both.

    Raises:
        NotAcceptable: it does not accept JSON.
    """
    if not accept:
        return False
    if len(accept) > HEADER_LENGTH_MAX:
        raise NotAcceptable(f"takes at most {HEADER_LENGTH_MAX} characters", parameter="Accept")
    for part in accept.lower().split(","):
        media_type, *parameters = [piece.strip() for piece in part.split(";")]
        if media_type in MEDIA_TYPES and not any(map(_NOT_AT_ALL.fullmatch, parameters)):
            for parameter in parameters:
                key, _, value = parameter.partition("=")
                if key == "deleted":
                    if value not in DELETED:
                        raise NotAcceptable("deleted takes true or only", parameter="Accept")
                    return DELETED[value]
            return False
    raise NotAcceptable("answers are application/json; accept that", parameter="Accept")


def media_type(header: str | None) -> None:
    """Raises UnsupportedMediaType unless the header says JSON in UTF-8."""
    kind, *parameters = (header or "")[:HEADER_LENGTH_MAX].lower().replace(" ", "").split(";")
    charsets = [each for each in parameters if each.startswith("charset=")]
    if kind != "application/json" or any(c.strip('"') not in _UTF8 for c in charsets):
        raise UnsupportedMediaType(
            "send JSON: Content-Type: application/json", parameter="Content-Type"
        )


_UTF8 = ("charset=utf-8", 'charset="utf-8', "charset=utf8")
