"""Undo restores the desired state of a former version of the present life; secrets stay those of
today."""

import pytest

from secaplane.command.rules.restoring import _with, former, restored
from secaplane.kinds import KINDS
from secaplane.model.errors import Malformed, NotFound
from secaplane.model.events import (
    AnyEvent,
    Created,
    Deleted,
    DeletionRequested,
    RecordedEvent,
    StatusReported,
    Updated,
)
from secaplane.model.evolve import fold
from secaplane.model.shape import Resource, State
from tests.positions import nth
from tests.scenario import IDS, history

DISK, INSTANCE = KINDS["block-storage"], KINDS["instance"]
VOLUME, ONE = DISK.ref(IDS, "disk"), INSTANCE.ref(IDS, "one")
LIFE = (
    Created(spec={"sizeGB": 1}, labels={"env": "dev"}),
    StatusReported(state=State.ACTIVE, observed_position=nth(1)),
    Updated(spec={"sizeGB": 2}, labels={"env": "dev"}, annotations={"a": "b"}),
    Updated(spec={"sizeGB": 3}),
)


def present(*events: AnyEvent) -> tuple[list[RecordedEvent], Resource]:
    recorded = history(VOLUME, *events)
    resource = fold(recorded)
    assert resource is not None
    return [each for each in recorded if each.position >= resource.life], resource


def test_each_former_version_has_its_desired_state() -> None:
    events, today = present(*LIFE)
    shown = {version: restored(DISK, former(events, today, version), {}) for version in (1, 2)}
    assert shown == {
        1: {"labels": {"env": "dev"}, "spec": {"sizeGB": 1}},
        2: {"labels": {"env": "dev"}, "annotations": {"a": "b"}, "spec": {"sizeGB": 2}},
    }


def test_a_former_life_is_never_reached() -> None:
    events, today = present(*LIFE, DeletionRequested(), Deleted(), *LIFE)
    assert (today.version, len(events)) == (7, 4)
    assert former(events, today, 5).spec == {"sizeGB": 1}
    for version in (0, 1, 3, 4, 8):
        with pytest.raises(NotFound) as refused:
            former(events, today, version)
        assert "versions 5 to 7" in refused.value.detail


def test_the_present_version_cannot_be_restored() -> None:
    events, today = present(*LIFE)
    with pytest.raises(Malformed):
        former(events, today, 3)


def test_a_secret_is_that_of_today() -> None:
    recorded = history(
        ONE,
        Created(spec={"zone": "a", "userData": "sealed:k1:a:b"}),
        Updated(spec={"zone": "b", "userData": "sealed:k1:c:d"}),
    )
    then, today = fold(recorded[:1]), fold(recorded)
    assert then is not None
    assert today is not None
    opened = today.spec | {"userData": "in clear"}
    assert restored(INSTANCE, then, opened)["spec"] == {"zone": "a", "userData": "in clear"}
    assert restored(INSTANCE, then, {"zone": "b"})["spec"] == {"zone": "a"}
    assert then.spec["userData"] == "sealed:k1:a:b"


def test_a_secret_in_an_object_is_set_where_the_object_was_absent() -> None:
    assert _with({"a": 1}, "/b/c/d", "x") == {"a": 1, "b": {"c": {"d": "x"}}}
    assert _with({"b": {"e": 1}}, "/b/c", "x") == {"b": {"e": 1, "c": "x"}}
