"""Parsing of the headers of a request, and the refusal of malformed ones."""

import pytest

from secaplane.edge.requests import parsing
from secaplane.edge.requests.parsing import HEADER_LENGTH_MAX
from secaplane.model.errors import NotAcceptable, UnsupportedMediaType

INT_MAX = 9223372036854775807


@pytest.mark.parametrize(
    ("header", "deleted"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("Application/JSON", False),
        ("application/*;q=0.5", False),
        ("text/html, application/json;q=0.9", False),
        ("application/json; deleted=true", None),
        ("application/json;deleted=only", True),
        ("APPLICATION/JSON ; Deleted=Only", True),
        ("application/json; charset=utf-8; deleted=only", True),
        ("text/html; deleted=only, application/json", False),
        ("text/html, application/json; deleted=true", None),
        ("application/json; deleted=false", False),
        ("application/json;q=0, */*; deleted=only", True),
    ],
)
def test_accept_selects_living_or_deleted_resources(
    header: str | None, deleted: bool | None
) -> None:
    assert parsing.deleted(header) is deleted


@pytest.mark.parametrize(
    "header", ["text/html", "application/xml, text/*", "application/json;q=0", "json", ";"]
)
def test_an_accept_header_without_json_is_refused(header: str) -> None:
    with pytest.raises(NotAcceptable):
        parsing.deleted(header)


def test_an_accept_header_without_end_is_refused_unread() -> None:
    with pytest.raises(NotAcceptable):
        parsing.deleted("," * HEADER_LENGTH_MAX + "*/*")


@pytest.mark.parametrize(
    "header",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ; charset = utf8",
        "application/json; odd=parameter",
    ],
)
def test_the_media_type_json_in_utf_8_is_accepted(header: str) -> None:
    parsing.media_type(header)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "text/plain",
        "application/xml",
        "application/merge-patch+json",
        "application/problem+json",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/x-www-form-urlencoded",
    ],
)
def test_other_media_types_are_refused(header: str | None) -> None:
    with pytest.raises(UnsupportedMediaType):
        parsing.media_type(header)
