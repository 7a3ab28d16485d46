"""Pointers into plain values (RFC 6901)."""

import pytest

from model.pointer import at, changed, spelled
from model.shape import Json

VALUE: Json = {"a": {"b": "c", "n": None, "list": ["x"]}, "": "empty"}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", VALUE),
        ("/a/b", "c"),
        ("/a/n", None),
        ("/a/x", None),
        ("/a/b/c", None),
        ("/x/y/z", None),
        ("/a/list/0", None),
        ("/", "empty"),
    ],
)
def test_a_pointer_finds_what_it_points_at_or_nothing(pointer: str, found: object) -> None:
    assert at(VALUE, pointer) == found


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ((), ""),
        (("spec", "routes", 0, "cidr"), "/spec/routes/0/cidr"),
        (("labels", "a/b~c"), "/labels/a~1b~0c"),
        (("~1",), "/~01"),
        (("",), "/"),
    ],
)
def test_a_path_is_spelled_as_a_pointer(path: tuple[str | int, ...], pointer: str) -> None:
    assert spelled(path) == pointer


def test_only_the_text_that_is_pointed_at_changes() -> None:
    value = {"a": {"b": "c", "d": "e"}, "f": "g"}
    assert changed(value, "/a/b", str.upper) == {"a": {"b": "C", "d": "e"}, "f": "g"}
    assert value == {"a": {"b": "c", "d": "e"}, "f": "g"}


@pytest.mark.parametrize("pointer", ["/x", "/a/x", "/a/b/c", "/n", "/a"])
def test_where_there_is_no_text_nothing_changes(pointer: str) -> None:
    value = {"a": {"b": "c"}, "n": 1}
    assert changed(value, pointer, str.upper) == value
