"""Empty never means everything: a list whose absence means "all" is refused when it is empty, or
matches nothing."""

from typing import Any

import pytest

from secaplane.command.body import BodyReader
from secaplane.command.rules.empty_lists import matches_nothing
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
from secaplane.model.kind import AbsentMeansAll, Kind
from secaplane.model.shape import Json
from tests.kinds.schemas import Schema

BODIES = BodyReader(region="eu-1")
FIELDS = [(kind, field) for kind in KINDS.values() for field in kind.rules.absent_means_all]


def named(value: object) -> str:
    return value.at if isinstance(value, AbsentMeansAll) else getattr(value, "name", "")


def emptied(value: Any, steps: list[str]) -> Any:
    """The value with an empty list at a place; of lists on the way, the first item is changed."""
    if not steps:
        return []
    if steps[0] == "*":
        return [emptied(value[0], steps[1:]), *value[1:]]
    return value | {steps[0]: emptied(value[steps[0]], steps[1:])}


def with_empty(kind: Kind, field: AbsentMeansAll) -> Json:
    spec: Json = emptied(Schema(kind.spec).whole(), field.at.split("/")[1:])
    return spec


def test_every_such_field_is_marked() -> None:
    assert {(kind.name, field.at) for kind, field in FIELDS} == {
        ("kubernetes-cluster", "/restrictKubernetesApi"),
        ("role-assignment", "/scopes/*/regions"),
        ("role-assignment", "/scopes/*/tenants"),
        ("role-assignment", "/scopes/*/workspaces"),
        ("security-group", "/rules/*/sourceRef"),
        ("security-group-rule", "/sourceRef"),
    }


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=named)
def test_an_empty_list_is_refused_or_matches_nothing(kind: Kind, field: AbsentMeansAll) -> None:
    spec, pointer = with_empty(kind, field), "/spec" + field.at.replace("*", "0")
    if field.accepted:
        assert BODIES.read(kind, {"spec": spec}).spec == spec  # and is answered as it was sent
        assert pointer in matches_nothing(kind, spec)
        return
    with pytest.raises(Invalid) as refused:
        BODIES.read(kind, {"spec": spec})
    assert [source.pointer for source in refused.value.sources] == [pointer]
    assert "leave it out to mean all" in refused.value.detail


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=named)
def test_a_list_with_items_is_accepted(kind: Kind, field: AbsentMeansAll) -> None:
    spec = Schema(kind.spec).whole()
    assert BODIES.read(kind, {"spec": spec}).spec == spec
    assert matches_nothing(kind, spec) == ""


def test_all_empty_lists_are_named_at_once() -> None:
    scope: Json = {"tenants": [], "regions": [], "workspaces": []}
    spec = {"subs": ["jane"], "roles": ["seca.admin"], "scopes": [{}, scope]}
    with pytest.raises(Invalid) as refused:
        BODIES.read(KINDS["role-assignment"], {"spec": spec})
    assert {source.pointer for source in refused.value.sources} == {
        f"/spec/scopes/1/{dimension}" for dimension in scope
    }
