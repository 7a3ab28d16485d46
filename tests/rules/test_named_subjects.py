"""Subjects that no caller can be are refused wherever they are named; so are quotas that count
nothing."""

from collections.abc import Iterable

import pytest
from msgspec import UNSET, UnsetType

from secaplane.command.body import BodyReader
from secaplane.kinds import KINDS
from secaplane.model.actor import RESERVED_SUBS, SYSTEM
from secaplane.model.errors import BrokenRule, Invalid
from secaplane.model.events import Created
from secaplane.model.evolve import fold
from secaplane.model.instant import instant_of
from secaplane.model.position import BEGINNING
from secaplane.model.shape import Json, Ref
from secaplane.model.subject import broken_subjects
from secaplane.policy.grants.review import AccessReviewSpec, broken_subjects_in
from secaplane.policy.tokens.revocations import Revocations
from tests.scenario import history

BEFORE = "2026-01-31T12:00:00Z"


def broken(kind: str, spec: Json) -> list[str]:
    check = KINDS[kind].rules.check
    assert check is not None
    found: Iterable[BrokenRule] = check(spec)
    return [each.pointer for each in found]


def assignment(*subs: str) -> Json:
    return {"subs": subs, "roles": ["seca.admin"], "scopes": [{}]}


def tenant(*administrators: str, **counted: int) -> Json:
    return {"administrators": administrators, "quotas": {"resources": counted}}


@pytest.mark.parametrize("sub", ["group:", *RESERVED_SUBS])
def test_a_subject_that_no_caller_has_is_granted_nothing(sub: str) -> None:
    assert broken("role-assignment", assignment("jane", sub)) == ["/spec/subs/1"]
    assert broken("tenant", tenant("jane", sub)) == ["/spec/administrators/1"]


def test_callers_groups_and_every_caller_are_subjects() -> None:
    assert broken("role-assignment", assignment("jane", "group:ops", "*", "systems")) == []
    assert broken("tenant", tenant("jane", "group:ops")) == []


@pytest.mark.parametrize("sub", ["*", "group:ops", "group:", *RESERVED_SUBS])
def test_a_revocation_names_the_sub_of_one_caller(sub: str) -> None:
    assert broken("revocation", {"sub": sub, "issuedBefore": BEFORE}) == ["/spec/sub"]
    assert broken("revocation", {"sub": f"{sub}x-", "issuedBefore": BEFORE}) == (
        ["/spec/sub"] if sub.startswith("group:") else []
    )


@pytest.mark.parametrize("counted", ["instance/", "instance/a/b", "instance/ ", "image/x", "none"])
def test_a_quota_counts_something(counted: str) -> None:
    pointer = "/spec/quotas/resources/" + counted.replace("/", "~1")
    assert broken("tenant", tenant("jane", **{counted: 1})) == [pointer]


def test_a_quota_names_a_sku_once() -> None:
    assert broken("tenant", tenant("jane", **{"instance/DXS": 1, "instance/DS": 1})) == []
    twice = tenant("jane", **{"instance/DXS": 1, "instance/seca.dxs": 2})
    assert broken("tenant", twice) == ["/spec/quotas/resources/instance~1seca.dxs"]


@pytest.mark.parametrize(
    "moment",
    [
        "2026-01-31T12:00:00+00:00",
        "2026-01-31t12:00:00z",
        "2026-01-31T12:00:00.123456789Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
def test_a_time_comes_back_as_it_was_sent_and_is_in_force(moment: str) -> None:
    sent = {"sub": "jane", "issuedBefore": moment}
    spec = BodyReader(region="").read(KINDS["revocation"], {"spec": sent}).spec
    assert spec == sent
    assert broken("revocation", spec) == []
    revocations = Revocations()
    ref = Ref("revocation", "revocations/r")
    made = fold(history(ref, Created(spec=spec)))
    assert made is not None
    revocations.update([made], BEGINNING)
    boundary = instant_of(moment).timestamp()
    assert revocations.include("jane", "", boundary - 1)
    assert not revocations.include("jane", "", boundary)


@pytest.mark.parametrize("moment", ["2026-01-31T12:00:00", "2026-01-31 12:00", "x" * 20, "1" * 20])
def test_a_text_that_is_no_time_is_refused(moment: str) -> None:
    sent = {"spec": {"sub": "jane", "issuedBefore": moment}}
    with pytest.raises(Invalid, match="takes a time such as"):
        BodyReader(region="").read(KINDS["revocation"], sent)


@pytest.mark.parametrize(
    ("caller", "groups", "broken"),
    [
        ("jane", ("group:ops", "group:dev"), []),
        ("group:ops", UNSET, []),
        (UNSET, UNSET, []),
        (UNSET, (), []),
        ("jane", ("ops", "group:"), ["/spec/groups/0", "/spec/groups/1"]),
        (UNSET, ("group:ops",), ["/spec/groups"]),
        ("group:", UNSET, ["/spec/caller"]),
    ],
)
def test_an_access_review_is_about_callers_and_groups_that_can_be(
    caller: str | UnsetType, groups: tuple[str, ...] | UnsetType, broken: list[str]
) -> None:
    spec = AccessReviewSpec(verb="get", path="/providers/x", caller=caller, groups=groups)
    assert [each.pointer for each in broken_subjects_in(spec)] == broken


def test_the_control_plane_alone_administers_the_tenant_of_shared_images() -> None:
    """Its catalogue is published by `system`, and no token has that sub."""
    assert not [*broken_subjects([SYSTEM.sub], "/spec/administrators")]
    assert [*broken_subjects([SYSTEM.sub, "jane"], "/spec/administrators")]
