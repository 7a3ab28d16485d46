"""The difference of two JSON values, as a patch (RFC 6902) and as pointers."""

import random
from copy import deepcopy
from typing import Any

import pytest

from secaplane.model.json_patch import bounded_patch, patch, pointers
from tests.patching import applied


def random_value(luck: random.Random, depth: int = 3) -> Any:
    shape = luck.random()
    if depth and shape < 0.4:
        keys = luck.sample(("a", "b", "c/d", "e~f", ""), luck.randint(0, 4))
        return {key: random_value(luck, depth - 1) for key in keys}
    if depth and shape < 0.7:
        return [random_value(luck, depth - 1) for _ in range(luck.randint(0, 5))]
    return luck.choice((1, 2, "x", "y", None, True))


@pytest.mark.parametrize("seed", range(300))
def test_a_patch_makes_the_new_value_of_the_old_one(seed: int) -> None:
    luck = random.Random(seed)
    old, new = random_value(luck), random_value(luck)
    assert applied(old, list(patch(old, new))) == new
    assert list(patch(old, deepcopy(old))) == []


def test_a_patch_of_many_operations_replaces_whole_members() -> None:
    old: Any = {"spec": {"list": [[n] for n in range(100)]}, "labels": {"a": "b"}, "gone": 1}
    new: Any = {"spec": {"list": [[n + 1] for n in range(100)]}, "labels": {"a": "b"}, "made": {}}
    few, many = bounded_patch(old, new, 102), bounded_patch(old, new, 101)
    assert (len(few), len(many)) == (102, 3)
    assert applied(old, [*few]) == applied(old, [*many]) == new


def test_an_item_that_was_inserted_changes_no_other() -> None:
    assert list(patch({"a": [1, 2, 3]}, {"a": [1, 9, 2, 3]})) == [
        {"op": "add", "path": "/a/1", "value": 9}
    ]


def test_true_is_not_one() -> None:
    assert list(patch({"a": 1}, {"a": True})) == [{"op": "replace", "path": "/a", "value": True}]


def test_the_pointers_of_a_value_lead_to_what_has_no_parts() -> None:
    value = {"a": {"b/c": 1, "d": []}, "e": [{"f": 2}, 3], "g": {}}
    assert dict(pointers(value)) == {
        "/a/b~1c": 1,
        "/a/d": [],
        "/e/0/f": 2,
        "/e/1": 3,
        "/g": {},
    }
