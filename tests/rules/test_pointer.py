"""JSON pointers (RFC 6901)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secaplane.model.pointer import LENGTH_MAX, at, changed, every, pointer_to, without
from secaplane.model.shape import Json

VALUE: Json = {"a": {"b": "c", "n": None, "list": ["x"]}, "": "empty"}


@pytest.mark.parametrize(
    ("pointer", "value"),
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
def test_a_pointer_yields_its_value_or_none(pointer: str, value: object) -> None:
    assert at(VALUE, pointer) == value


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
def test_a_path_is_written_as_a_pointer(path: tuple[str | int, ...], pointer: str) -> None:
    assert pointer_to(path) == pointer


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        (("a", "k" * LENGTH_MAX), "/a"),
        (("a", "k" * (LENGTH_MAX - 3)), "/a/" + "k" * (LENGTH_MAX - 3)),
        (("a", "/" * (LENGTH_MAX // 2), "b"), "/a"),
        (("k" * LENGTH_MAX, "a"), ""),
        (("a",) * LENGTH_MAX, "/a" * (LENGTH_MAX // 2)),
    ],
)
def test_a_pointer_that_would_be_too_long_names_an_ancestor(
    path: tuple[str | int, ...], pointer: str
) -> None:
    assert pointer_to(path) == pointer


def test_only_the_string_at_the_pointer_changes() -> None:
    value = {"a": {"b": "c", "d": "e"}, "f": "g"}
    assert changed(value, "/a/b", str.upper) == {"a": {"b": "C", "d": "e"}, "f": "g"}
    assert value == {"a": {"b": "c", "d": "e"}, "f": "g"}


@pytest.mark.parametrize("pointer", ["/x", "/a/x", "/a/b/c", "/n", "/a"])
def test_without_a_string_nothing_changes(pointer: str) -> None:
    value = {"a": {"b": "c"}, "n": 1}
    assert changed(value, pointer, str.upper) == value


# --- places in lists

LISTS: Json = {
    "routes": [{"to": "a", "via": ["x", "y"]}, {"via": []}, {"to": "c", "via": ["z"]}],
    "empty": [],
    "text": "abc",
}


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("/text", [("/text", "abc")]),
        ("/routes/*/to", [("/routes/0/to", "a"), ("/routes/2/to", "c")]),
        (
            "/routes/*/via/*",
            [("/routes/0/via/0", "x"), ("/routes/0/via/1", "y"), ("/routes/2/via/0", "z")],
        ),
        ("/empty/*", []),
        ("/absent/*/x", []),
        ("/text/*", []),
        ("/text/x", []),
        ("/routes/to", []),
    ],
)
def test_a_star_stands_for_every_item(pattern: str, matches: list[tuple[str, Any]]) -> None:
    assert list(every(LISTS, pattern)) == matches


def test_an_item_is_removed_and_nothing_else_changes() -> None:
    before = {"a": [1, 2, 3], "b": [{"c": ["x", "y"]}, {"c": ["z"]}]}
    kept = {"a": [1, 2, 3], "b": [{"c": ["x", "y"]}, {"c": ["z"]}]}
    assert without(before, "/a/1") == before | {"a": [1, 3]}
    assert without(before, "/b/0/c/1") == before | {"b": [{"c": ["x"]}, {"c": ["z"]}]}
    assert without(before, "/b/1") == before | {"b": [{"c": ["x", "y"]}]}
    assert before == kept


KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)
PATTERNS = st.lists(KEYS | st.just("*"), max_size=4).map(
    lambda steps: "".join(f"/{s}" for s in steps)
)


@given(VALUES, PATTERNS)
def test_every_match_is_the_value_at_its_pointer(value: Any, pattern: str) -> None:
    for pointer, match in every(value, pattern):
        assert followed(value, pointer) is match
        if "*" not in pattern:
            assert at(value, pointer) is match
    if "*" not in pattern:
        assert len(list(every(value, pattern))) == (not absent(value, pattern))


@given(VALUES, PATTERNS)
def test_removing_every_item_from_last_to_first_leaves_none(value: Any, pattern: str) -> None:
    places = [pointer for pointer, _ in every(value, f"{pattern}/*")]
    for number, pointer in enumerate(reversed(places), start=1):
        value = without(value, pointer)
        assert len(list(every(value, f"{pattern}/*"))) == len(places) - number


@given(VALUES, PATTERNS.filter(lambda pattern: "*" not in pattern))
def test_a_change_is_visible_at_its_pointer(value: Any, pointer: str) -> None:
    after = changed(value, pointer, lambda text: f"{text}!")
    former = at(value, pointer)
    assert at(after, pointer) == (f"{former}!" if isinstance(former, str) else former)


def followed(value: Any, pointer: str) -> Any:
    for step in pointer.split("/")[1:]:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def absent(value: Any, pointer: str) -> bool:
    try:
        followed(value, pointer)
    except (KeyError, TypeError, ValueError, IndexError):
        return True
    return False
