"""Parsing of request bodies as strict JSON, and the refusal of malformed ones."""

import json

import msgspec
import pytest

from secaplane.edge.requests import strict_json
from secaplane.edge.requests.strict_json import NESTING_MAX
from secaplane.model.errors import Malformed

INT_MIN, INT_MAX = -9223372036854775808, 9223372036854775807


def refused(data: bytes) -> Malformed:
    with pytest.raises(Malformed) as raised:
        strict_json.read(data)
    msgspec.json.encode(
        (raised.value.detail, raised.value.sources)
    )  # the refusal itself must be encodable
    return raised.value


def pointers(data: bytes) -> list[str]:
    return [source.pointer for source in refused(data).sources]


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + "1" + closing * depth).encode()


# --- valid bodies


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '"text"',
        ' \r\n\t{"a": [1, -1, 0, 2.5, 1e3, -0.0, true, false, null]} ',
        f'{{"least": {INT_MIN}, "most": {INT_MAX}}}',
        '{"digits in a row": 100000000000000000, "as text": "9223372036854775808"}',
        '{"a": {"a": {"a": 1}}, "b": {"a": 2}}',
        '["a", "a"]',
        '{"a": 1, "A": 2, "": 3, " ": 4}',
        r'{"a pair": "\ud83d\ude00", "upper": "\uD83D\uDE00", "raw": "😀"}',
        r'{"no escape": "\\u0000", "nor this": "\\\\ud800"}',
        r'{"~": 1, "/": 2, "~1": 3, "a\"b": 4, "\t": "\n"}',
        '"' + "[{" * NESTING_MAX + '"',
        "[" + ",".join(["[]", "{}"] * NESTING_MAX) + "]",
        "1e-999",
        "1.7976931348623157e308",
    ],
)
def test_a_valid_body_is_parsed_unchanged(text: str) -> None:
    read = strict_json.read(text.encode())
    assert read == json.loads(text)


def test_a_number_without_a_fraction_is_an_integer() -> None:
    read = strict_json.read(b"[10.0, 1e3, -2.50e1, 0.5, 1e300]")
    assert [type(each) for each in read] == [int, int, int, float, float]
    assert read == [10, 1000, -25, 0.5, 1e300]


def test_nesting_has_a_limit() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")):
        pair = opening.count("[") + opening.count("{")
        depth = NESTING_MAX // pair
        strict_json.read(nested(depth, opening, closing))
        refused(nested(depth + 1, opening, closing))
    assert pointers(nested(NESTING_MAX + 1)) == ["/0" * NESTING_MAX]


def test_extreme_nesting_is_refused() -> None:
    for opening in ("[", '{"a":', '[{"a":'):
        refused((opening * 100_000).encode())
        refused(nested(100_000, opening))


# --- bodies that parsers interpret differently


@pytest.mark.parametrize(
    ("body", "broken"),
    [
        (b'{"a": 1, "a": 1}', ["/a"]),
        (b'{"a": 1, "\\u0061": 2}', ["/a"]),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', ["/a/b/0/c"]),
        (b'{"a": 1, "a": {"b": 1, "b": 2}, "a": 3}', ["/a", "/a/b", "/a"]),
        (b'{"x/y": 1, "x/y": 2, "~": 3, "~": 4}', ["/x~1y", "/~0"]),
        (b'{"a": "\\u0000"}', ["/a"]),
        (b'{"a\\u0000b": 1}', ["/ab"]),
        (b'{"a\\u0000": {"b": "\\u0000"}}', ["/a", "/a/b"]),
        (b'["ok", "\\ud800"]', ["/1"]),
        (b'["\\uDFFF ok"]', ["/0"]),
        (b'["\\ude00\\ud83d"]', ["/0"]),
        (b'{"\\ud800": 1}', ["/?"]),
        (b'{"\\ud800": 1, "\\ud800": 2}', ["/?", "/?", "/?"]),
        (b'{"\\ud800": {"a": 9223372036854775808}}', ["/?", "/?/a"]),
        (b"[9223372036854775807, 9223372036854775808]", ["/1"]),
        (b"[-9223372036854775808, -9223372036854775809]", ["/1"]),
        (b"[" + b"9" * 5000 + b"]", ["/0"]),
        (b"[-" + b"9" * 100 + b"]", ["/0"]),
        (b'{"a": 1e999, "b": [-1e999]}', ["/a", "/b/0"]),
        (b'{"a": "\\u0000", "b": 9223372036854775808, "c": 1, "c": 2}', ["/a", "/b", "/c"]),
        (b'"\\u0000"', [""]),
    ],
)
def test_ambiguous_json_is_refused_with_a_pointer_for_each_place(
    body: bytes, broken: list[str]
) -> None:
    assert pointers(body) == broken


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 1,}',
        b"[01]",
        b"[+1]",
        b"[.5]",
        b"[0x10]",
        b"NaN",
        b"[Infinity]",
        b'{"a": -Infinity}',
        b'["' + b"[" * (NESTING_MAX + 1) + b'", NaN]',
        b'"\x00"',
        b'{"a\x00": 1}',
        b'"\n"',
        b'{"a": 1} // why',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
        '{"a": 1}'.encode("utf-32"),
        b'{"a": "\xff"}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xc0\x80"}',
        b'{"a": "\xe2\x82"}',
        '{"a": "é"}'.encode("latin-1"),
    ],
)
def test_a_body_that_is_no_utf_8_json_is_refused(body: bytes) -> None:
    assert refused(body).sources == ()


def test_a_refusal_does_not_repeat_the_body() -> None:
    assert "hunter2" not in refused(b'{"password": "hunter2", "password": "hunter2"}').detail
    assert "hunter2" not in refused(b'{"password": "hunter2"').detail
