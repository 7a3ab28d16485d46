"""Preconditions: entity tags and versions, read from headers and judged by `decide`."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given as any_of
from hypothesis import strategies as st

from secaplane.command.rules.commands import Act, Delete, Put
from secaplane.edge.requests.context import RequestContext
from secaplane.edge.requests.preconditions import not_modified, precondition
from secaplane.model.errors import Conflict, Malformed, NotFound, PreconditionFailed
from secaplane.model.events import (
    ActionRequested,
    Created,
    Deleted,
    DeletionRequested,
    Updated,
)
from secaplane.model.precondition import (
    EntityTag,
    Precondition,
    TagCondition,
    tag,
    tag_condition,
)
from secaplane.model.shape import State
from tests.scenario import found, given

SPEC = {"zone": "a"}
CREATED, TERMINATING = Created(spec=SPEC), (Created(spec=SPEC), DeletionRequested())
INT_MAX = 2**63 - 1


def context(*headers: tuple[str, str]) -> RequestContext:
    sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    scope: dict[str, Any] = {"method": "PUT", "path": "/", "headers": sent}
    return RequestContext(scope)


def sent(**headers: str) -> Precondition:
    return precondition(context(*((k.replace("_", "-"), v) for k, v in headers.items())))


def present(scene: given) -> str:
    """The ETag that a GET of the resource has now."""
    return tag(b"body", scene.resource.version, scene.resource.uid)


# --- headers


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ('"a"', [EntityTag("a")]),
        (' "a" , W/"b",,"c,d" ', [EntityTag("a"), EntityTag("b", True), EntityTag("c,d")]),
        ('""', [EntityTag("")]),
        ("", []),
        (",", []),
    ],
)
def test_a_header_lists_entity_tags(header: str, tags: Sequence[EntityTag]) -> None:
    assert tag_condition([header]) == TagCondition(tags=tuple(tags))


@pytest.mark.parametrize("header", ["wrong", '"a', 'a"', '"a" "b"', "*, *", '*, "a"', 'w/"a"'])
def test_a_header_that_is_no_list_of_entity_tags_cannot_hold(header: str) -> None:
    assert tag_condition([header]) == TagCondition(unreadable=True)


def test_several_headers_of_one_name_are_one_list() -> None:
    assert tag_condition(['"a"', '"b"']) == TagCondition(tags=(EntityTag("a"), EntityTag("b")))
    assert tag_condition([]) is None
    assert tag_condition([" * "]) == TagCondition(any=True)


@any_of(st.lists(st.tuples(st.booleans(), st.text("ab,*W/ !\\~", max_size=5).map(str.strip))))
def test_every_list_of_tags_is_read_as_it_was_written(tags: list[tuple[bool, str]]) -> None:
    plain = [(weak, text.replace(" ", "")) for weak, text in tags]
    written = ", ".join(f'{"W/" * weak}"{text}"' for weak, text in plain)
    read = tag_condition([written])
    assert read == TagCondition(tags=tuple(EntityTag(text, weak) for weak, text in plain))


@pytest.mark.parametrize(
    ("header", "version"),
    [("0", 0), ("7", 7), (" 7 ", 7), ("007", 7), (str(INT_MAX), INT_MAX)],
)
def test_if_unmodified_since_accepts_a_version(header: str, version: int) -> None:
    assert sent(if_unmodified_since=header) == Precondition(version=version)
    assert sent() == Precondition()


@pytest.mark.parametrize(
    "header",
    [
        *("", " ", "-1", "+1", "1.0", "1e3", "seven", '"7"', "7, 8", "1" * 20),
        "Wed, 21 Oct 2026 07:28:00 GMT",
    ],
)
def test_if_unmodified_since_refuses_other_values(header: str) -> None:
    with pytest.raises(Malformed) as raised:
        sent(if_unmodified_since=header)
    assert [source.parameter for source in raised.value.sources] == ["if-unmodified-since"]


def test_two_versions_are_refused() -> None:
    with pytest.raises(Malformed):
        precondition(context(("if-unmodified-since", "1"), ("if-unmodified-since", "1")))


@pytest.mark.parametrize(
    ("header", "same"),
    [
        ('"1-u.x"', True),
        ('W/"1-u.x"', True),
        ('"other", "1-u.x"', True),
        ("*", True),
        ('"1-u.y"', False),
        ('"foreign"', False),
        ("1-u.x", False),
        ("", False),
    ],
)
def test_a_get_compares_whole_tags(header: str, same: bool) -> None:
    assert not_modified(context(("if-none-match", header)), '"1-u.x"') is same
    assert not not_modified(context(), '"1-u.x"')


# --- If-Match


def test_the_present_tag_matches_though_the_status_has_changed() -> None:
    before = present(given("instance", CREATED))
    scene = given("instance", CREATED, found(State.ACTIVE, observed_position=1))
    assert before == present(scene)
    matching = sent(if_match=f'"foreign", {before}')
    scene.when(Put(spec=SPEC, precondition=matching)).then(Updated(spec=SPEC))
    scene.when(Delete(precondition=matching)).then(DeletionRequested())
    scene.when(Act(action="start", precondition=matching)).then(ActionRequested(action="start"))


def wrong_tags() -> list[str]:
    ours = present(given("instance", CREATED))
    newer = present(given("instance", CREATED, Updated(spec=SPEC)))
    another_life = ours.replace("-", "-f", 1)
    return [
        '"wrong"',
        "wrong",
        "",
        f"W/{ours}",
        newer,
        another_life,
        ours.replace(".", "-"),
        ours[:-2] + '"',
        f'"0{ours[1:]}',
    ]


@pytest.mark.parametrize("header", wrong_tags())
def test_any_other_tag_is_refused_and_never_ignored(header: str) -> None:
    scene, wrong = given("instance", CREATED), sent(if_match=header)
    for command in (
        Put(spec=SPEC, precondition=wrong),
        Delete(precondition=wrong),
        Act(action="start", precondition=wrong),
    ):
        refusal = scene.when(command).then_refused(PreconditionFailed)
        assert [source.parameter for source in refusal.sources] == ["If-Match"]


def test_a_star_requires_that_the_resource_exists() -> None:
    star = sent(if_match="*")
    given("instance", CREATED).when(Put(spec=SPEC, precondition=star)).then(Updated(spec=SPEC))
    given("instance").when(Put(spec=SPEC, precondition=star)).then_refused(PreconditionFailed)
    gone = given("instance", *TERMINATING, Deleted())
    gone.when(Put(spec=SPEC, precondition=star)).then_refused(PreconditionFailed)


def test_a_tag_of_a_former_life_does_not_match_the_next_one() -> None:
    former = given("instance", CREATED)
    scene = given("instance", *TERMINATING, Deleted(), CREATED)
    assert scene.resource.uid == former.resource.uid or present(scene) != present(former)
    outdated = sent(if_match=present(former))
    scene.when(Put(spec=SPEC, precondition=outdated)).then_refused(PreconditionFailed)


# --- If-None-Match


def test_a_star_requires_that_the_resource_does_not_exist() -> None:
    star = sent(if_none_match="*")
    given("instance").when(Put(spec=SPEC, precondition=star)).then(Created(spec=SPEC))
    gone = given("instance", *TERMINATING, Deleted())
    gone.when(Put(spec=SPEC, precondition=star)).then(Created(spec=SPEC))
    scene = given("instance", CREATED)
    for command in (Put(spec=SPEC, precondition=star), Delete(precondition=star)):
        refusal = scene.when(command).then_refused(PreconditionFailed)
        assert [source.parameter for source in refusal.sources] == ["If-None-Match"]


def test_a_tag_of_the_present_version_is_refused_and_any_other_holds() -> None:
    scene = given("instance", CREATED)
    for header in (present(scene), f"W/{present(scene)}", f'"other", {present(scene)}'):
        named = sent(if_none_match=header)
        scene.when(Put(spec=SPEC, precondition=named)).then_refused(PreconditionFailed)
    older = sent(if_none_match=present(scene))
    changed = given("instance", CREATED, Updated(spec=SPEC))
    changed.when(Put(spec=SPEC, precondition=older)).then(Updated(spec=SPEC))
    foreign = sent(if_none_match='"foreign"')
    scene.when(Put(spec=SPEC, precondition=foreign)).then(Updated(spec=SPEC))


# --- all of them, and their order


def test_every_precondition_must_hold() -> None:
    scene = given("instance", CREATED)
    tagged = present(scene)
    held = sent(if_match=tagged, if_unmodified_since="1", if_none_match='"x"')
    scene.when(Put(spec=SPEC, precondition=held)).then(Updated(spec=SPEC))
    for broken in (
        sent(if_match=tagged, if_unmodified_since="2"),
        sent(if_match='"x"', if_unmodified_since="1"),
        sent(if_match=tagged, if_none_match=tagged),
    ):
        scene.when(Put(spec=SPEC, precondition=broken)).then_refused(PreconditionFailed)


def test_an_absent_resource_is_not_found_before_a_precondition_is_judged() -> None:
    wrong = sent(if_match='"wrong"')
    given("instance").when(Delete(precondition=wrong)).then_refused(NotFound)
    given("instance").when(Act(action="start", precondition=wrong)).then_refused(NotFound)


def test_being_deleted_is_refused_before_a_precondition_is_judged() -> None:
    scene, wrong = given("instance", *TERMINATING), sent(if_match='"wrong"')
    scene.when(Put(spec=SPEC, precondition=wrong)).then_refused(Conflict)
    scene.when(Act(action="start", precondition=wrong)).then_refused(Conflict)
    scene.when(Delete(precondition=wrong)).then_refused(PreconditionFailed)
    scene.when(Delete(precondition=sent(if_match=present(scene)))).then_nothing()
