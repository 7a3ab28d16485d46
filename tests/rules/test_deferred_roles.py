"""A role that is created after an assignment names it is judged by the author of the assignment."""

from datetime import timedelta

from msgspec.structs import replace

from secaplane.kinds import KINDS
from secaplane.model.actor import SYSTEM, Actor
from secaplane.model.events import Created, RecordedEvent, Updated
from secaplane.model.evolve import fold
from secaplane.model.shape import Author, Json, Moment, Ref, Resource
from secaplane.policy.grants.deferred import DeferredRole
from secaplane.policy.grants.escalation import finished
from secaplane.policy.grants.explain import explained
from secaplane.policy.grants.policy import Policy
from secaplane.policy.tokens.caller import Caller
from tests.positions import nth
from tests.rules.test_grants import JANE, assignment, may, permission, policy, role
from tests.scenario import IDS, NOON, history

BOSS = Caller("iss", "boss")
BOB = Caller("iss", "bob")
WRITES = permission("seca.storage", "block-storages/*", "get put")


def written_at(resource: Resource, n: int, by: str = "jane", *groups: str) -> Resource:
    """The resource as if its author had written it at position n."""
    author = Author(written=Moment(nth(n), NOON), sub=by, groups=groups)
    return replace(resource, life=nth(n), position=nth(n), author=author)


def created_at(resource: Resource, n: int) -> Resource:
    return replace(resource, life=nth(n), position=nth(n))


def writes(known: Policy, caller: Caller) -> bool:
    return may(known, caller, "put", "block-storage", "one") is not None


def change(known: Policy, *resources: Resource) -> None:
    known.update(resources, known.revision.moved(1))


def unbound(known: Policy) -> dict[DeferredRole, str]:
    return {each: why for each, why in known.index.deferred("acme").items() if why}


def scene(*more: Resource) -> Policy:
    """Bob's assignment, written by jane at 5, names a role that does not exist yet."""
    return policy(written_at(assignment("bob", "later"), 5), *more)


LATER = created_at(role("later", WRITES), 6)


def test_a_deferred_role_is_bound_if_the_author_holds_what_it_grants() -> None:
    known = scene(assignment("jane", "seca.admin"))
    assert not writes(known, BOB)
    change(known, LATER)
    assert writes(known, BOB)
    assert unbound(known) == {}


def test_a_deferred_role_is_not_bound_if_the_author_does_not_hold_what_it_grants() -> None:
    """The writer of the role does not count: he must not give rights away without knowing it."""
    known = scene(assignment("boss", "seca.admin"), assignment("jane", "seca.workspace-viewer"))
    change(known, LATER)
    assert not writes(known, BOB)
    ((deferred, why),) = unbound(known).items()
    assert deferred == DeferredRole(assignment("bob", "later").ref, "later")
    assert why == "put on seca.storage block-storages/* in every workspace"
    decision = known.explain(BOB, "put", KINDS["block-storage"], IDS, "one")
    assert decision.rule is None
    reason = explained(decision).reason
    assert "grant nothing; role later of bob-later is not bound: its author does not" in str(reason)


def test_it_is_judged_again_when_the_role_or_the_grants_of_the_author_change() -> None:
    known = scene(assignment("jane", "seca.workspace-viewer"), LATER)
    assert not writes(known, BOB)
    change(known, assignment("jane", "seca.admin"))
    assert writes(known, BOB)
    change(known, created_at(role("later", WRITES, permission("seca.region", "*", "put")), 6))
    assert writes(known, BOB) is False  # no caller may put regions
    change(known, LATER)
    assert writes(known, BOB)
    known.update([], known.revision.moved(1), undecodable=[assignment("jane", "seca.admin").ref])
    assert not writes(known, BOB)


def test_the_judgement_is_of_the_places_of_the_assignment() -> None:
    narrow = written_at(assignment("bob", "later", {"workspaces": ["web"]}), 5)
    known = policy(
        narrow, LATER, assignment("jane", "seca.workspace-admin", {"workspaces": ["web"]})
    )
    assert writes(known, BOB)
    wide = written_at(assignment("bob", "later"), 5)
    change(known, wide)
    assert not writes(known, BOB)


def test_a_role_that_existed_when_the_assignment_was_written_is_not_judged_again() -> None:
    known = policy(created_at(role("later", WRITES), 4), written_at(assignment("bob", "later"), 5))
    assert writes(known, BOB)


def test_an_author_does_not_hold_a_role_by_the_assignment_that_is_judged() -> None:
    own = written_at(assignment("jane", "later"), 5)
    known = policy(own, LATER, assignment("jane", "seca.workspace-viewer"))
    assert not writes(known, JANE)


def test_two_assignments_do_not_bind_each_other() -> None:
    """Jane writes bob's assignment, and bob writes jane's: neither holds anything else."""
    first = written_at(assignment("bob", "later"), 5, by="jane")
    second = written_at(assignment("jane", "later"), 5, by="bob")
    known = policy(first, second, LATER)
    assert not writes(known, BOB)
    assert not writes(known, JANE)
    change(known, assignment("bob", "seca.admin"))  # bob may give it to jane, and jane to bob
    assert writes(known, JANE)
    assert writes(known, BOB)
    assert unbound(known) == {}


def test_an_author_without_a_name_holds_nothing() -> None:
    everyone = assignment("*", "seca.admin")
    known = policy(replace(written_at(assignment("bob", "later"), 5, by="")), LATER)
    assert not writes(known, BOB)
    change(known, everyone)
    assert writes(known, BOB)


def test_the_groups_of_the_author_count() -> None:
    known = policy(
        written_at(assignment("bob", "later"), 5, "jane", "group:staff"),
        LATER,
        assignment("group:staff", "seca.admin"),
    )
    assert writes(known, BOB)


def test_writing_the_assignment_again_does_not_bind_a_role() -> None:
    """Every caller who writes it again gives away something that the assignment does not grant."""
    held = written_at(assignment("jane", "later"), 5)
    known = policy(held, LATER, assignment("jane", "seca.workspace-viewer"))
    assert finished(known.excess(JANE, held.ref, held.spec, held.spec)) != ""
    known = policy(held, LATER, assignment("jane", "seca.admin"))
    assert finished(known.excess(JANE, held.ref, held.spec, held.spec)) == ""


def test_very_large_deferred_roles_are_not_bound() -> None:
    patterns = [f"block-storages/v{n}" for n in range(256)]
    large = role("later", permission("seca.storage", " ".join(patterns), "get"))
    names = [f"l{n}" for n in range(80)]
    roles = [
        created_at(replace(large, ref=Ref("role", f"tenants/acme/roles/{n}")), 6) for n in names
    ]
    held = written_at(assignment("jane", " ".join(names)), 5)
    known = policy(held, *roles, assignment("jane", "seca.admin"))
    assert set(unbound(known).values()) == {"more at once than can be judged; split it"}


# --- the author, as `evolve` remembers it


def test_the_author_is_the_caller_of_the_last_put() -> None:
    ref = assignment("bob", "later").ref
    spec: Json = {"subs": ["bob"], "roles": ["later"], "scopes": [{}]}
    events = history(ref, Created(spec=spec), Updated(spec=spec), Updated(spec=spec))
    events[1] = _by(events[1], Actor(issuer="iss", sub="boss", groups=("group:staff",)))
    events[2] = _by(events[2], SYSTEM)  # the control plane removes a name from the spec
    resource = fold(events)
    assert resource is not None
    assert isinstance(resource.author, Author)
    assert (resource.author.issuer, resource.author.sub) == ("iss", "boss")
    assert resource.author.groups == ("group:staff",)
    assert resource.author.written == Moment(nth(2), NOON + timedelta(seconds=2))


def test_a_revert_restores_the_former_author() -> None:
    """The reverted PUT may be an administrator's, who never wrote what is in force again."""
    ref, spec = assignment("bob", "later").ref, assignment("bob", "later").spec
    events = history(ref, Created(spec=spec), Updated(spec=spec), Updated(spec=spec))
    events[1] = _by(events[1], Actor(sub="boss"))
    events[2] = replace(_by(events[2], SYSTEM), cause=nth(2))
    resource = fold(events)
    assert resource is not None
    assert isinstance(resource.author, Author)
    assert (resource.author.sub, resource.author.written.position) == ("jane", nth(1))


def test_other_kinds_have_no_author() -> None:
    assert not isinstance(role("x").author, Author)


def _by(recorded: RecordedEvent, actor: Actor) -> RecordedEvent:
    return replace(recorded, actor=actor)
