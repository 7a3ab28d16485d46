"""A workspace that goes ends its grants: a scope that names it gives nothing in a later life."""

from datetime import timedelta

import msgspec
import pytest
from msgspec.structs import replace

from secaplane.kinds import KINDS
from secaplane.model.events import AnyEvent, Created, Deleted, DeletionRequested
from secaplane.model.evolve import fold
from secaplane.model.position import Position
from secaplane.model.shape import Author, Moment, Resource
from secaplane.policy.grants import lives
from secaplane.policy.grants.escalation import finished
from secaplane.policy.grants.policy import Policy
from secaplane.readmodel.questions.declared import _decode_declared, _resource
from tests.positions import nth
from tests.rules.test_grants import JANE, assignment, may, policy
from tests.scenario import NOON, WEB, history

FIRST: tuple[AnyEvent, ...] = (Created(spec={}),)
GONE = (*FIRST, DeletionRequested(), Deleted())
SECOND = (*GONE, Created(spec={}))


def workspace(*events: AnyEvent) -> Resource:
    """The workspace `web`; its first life ends at position 3."""
    resource = fold(history(WEB, *events))
    assert resource is not None
    return resource


def held(n: int, *workspaces: str) -> Resource:
    """Jane's assignment in some workspaces, written at position n."""
    scope = {"workspaces": list(workspaces)} if workspaces else {}
    author = Author(written=Moment(nth(n), NOON + timedelta(seconds=n)), sub="boss")
    return replace(assignment("jane", "seca.workspace-admin", scope), author=author)


def with_workspace(resource: Resource, *assignments: Resource) -> Policy:
    known = policy(*assignments)
    known.former_workspaces.update([resource], resource.position)
    return known


def reads(known: Policy, workspace: str = "web") -> bool:
    return may(known, JANE, "get", "block-storage", "one", workspace=workspace) is not None


def test_a_scope_gives_nothing_in_a_life_after_a_removal_that_came_after_it() -> None:
    known = with_workspace(workspace(*SECOND), held(1, "web", "other"))
    assert not reads(known)
    assert reads(known, "other")
    assert known.explain(JANE, "get", KINDS["workspace"], {"tenant": "acme"}, "web").rule is None
    assert not known.allows(JANE, "put", KINDS["block-storage"].ref(_WEB, "one"))


_WEB = {"tenant": "acme", "workspace": "web"}


def test_a_scope_that_was_written_after_the_removal_works() -> None:
    assert reads(with_workspace(workspace(*SECOND), held(5, "web")))


def test_a_scope_that_was_written_before_the_first_life_works() -> None:
    assert reads(with_workspace(workspace(*FIRST), held(1, "web")))


def test_a_scope_without_workspaces_works_in_every_life() -> None:
    known = with_workspace(workspace(*SECOND), held(1), held(1, "*"))
    assert reads(known)


def test_a_change_is_in_force_at_once_and_decisions_are_not_kept() -> None:
    known = with_workspace(workspace(*FIRST), held(1, "web"))
    assert reads(known)
    known.former_workspaces.update([workspace(*GONE)], nth(3))
    assert not reads(known)
    known.former_workspaces.update([workspace(*SECOND)], nth(4))
    assert not reads(known)
    known.update([held(6, "web")], nth(8))
    assert reads(known)


def test_the_number_of_workspaces_that_have_just_gone_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next life's first event names the end of the former one, so nothing is lost."""
    monkeypatch.setattr(lives, "RECENTLY_GONE_MAX", 2)
    known = with_workspace(workspace(*GONE), held(1, "web"))
    for name in ("a", "b"):
        gone = workspace(*GONE)
        other = replace(gone, ref=KINDS["workspace"].ref({"tenant": "acme"}, name))
        known.former_workspaces.update([other], nth(3))
    assert reads(known)
    known.former_workspaces.update([workspace(*SECOND)], nth(4))
    assert not reads(known)


def test_positions_of_two_streams_are_compared_by_their_times() -> None:
    """Assignments may be recorded by another stream than workspaces."""
    author = held(1, "web").author
    assert isinstance(author, Author)
    for n, allowed in ((2, False), (3, False), (4, True)):
        written = Moment(Position("OTHER", 99), NOON + timedelta(seconds=n))
        later = replace(held(1, "web"), author=replace(author, written=written))
        assert reads(with_workspace(workspace(*SECOND), later)) is allowed


def test_what_a_scope_no_longer_grants_is_new_to_its_author() -> None:
    """Writing an old assignment again must not revive it in the new life."""
    old = held(1, "web")
    known = with_workspace(workspace(*SECOND), old)
    assert finished(known.excess(JANE, old.ref, old.spec, old.spec)) != ""


def test_a_life_knows_the_end_of_the_former_one() -> None:
    assert workspace(*SECOND).former_end == Moment(nth(3), NOON + timedelta(seconds=3))
    assert not isinstance(workspace(*FIRST).former_end, Moment)


def test_the_read_model_gives_the_same_as_the_log() -> None:
    """At the start, the policy is loaded from rows; only living workspaces are among them."""
    living = workspace(*SECOND)
    row = _decode_declared(msgspec.json.encode(living))
    loaded = _resource(living.ref, row, terminating=False, quarantined=False)
    known = policy(held(1, "web"))
    known.former_workspaces.update([loaded], living.position)
    assert not reads(known)
    assert (loaded.life, loaded.former_end) == (living.life, living.former_end)
    author = held(1, "web").author
    row = _decode_declared(msgspec.json.encode(held(1, "web")))
    assert row.author == author
