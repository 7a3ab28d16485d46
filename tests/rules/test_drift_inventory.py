"""The cloud's inventory against the log: living, gone, unknown, or too young to say."""

import pytest

from secaplane.kinds import KINDS
from secaplane.model.events import Closed, Created, Deleted, DeletionRequested
from secaplane.model.shape import Ref, Resource
from secaplane.plugins.plugin import InventoryItem
from secaplane.reconcilers.drift.inventory import (
    Presence,
    Sightings,
    address,
    presence,
    remains,
    without_secrets,
)
from tests.positions import nth
from tests.scenario import given, history

CREATED, ENDED = Created(spec={}), (DeletionRequested(), Deleted())
LIVING, GONE, UNKNOWN = Presence.LIVING, Presence.GONE, Presence.UNKNOWN


def a_volume(*events: object) -> Resource:
    return given("block-storage", *events).resource  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("latest", "of_uid", "expected"),
    [
        (a_volume(CREATED), 0, LIVING),
        (a_volume(CREATED, DeletionRequested()), 0, LIVING),
        (a_volume(CREATED, *ENDED), 0, GONE),
        (a_volume(CREATED, Closed(since=nth(1), version=2)), 0, GONE),
        (None, 0, UNKNOWN),
    ],
)
def test_a_life_is_gone_when_its_last_event_says_so(
    latest: Resource | None, of_uid: int, expected: Presence
) -> None:
    assert presence("u1", latest, nth(of_uid)) is expected


def test_a_former_life_is_gone_and_what_the_address_never_had_is_unknown() -> None:
    again = a_volume(CREATED, *ENDED, CREATED)
    assert presence("u2", again) is LIVING
    assert presence("u1", again, nth(3)) is GONE
    assert presence("stray", again) is UNKNOWN


def test_an_answer_older_than_the_listing_makes_nothing_gone() -> None:
    """A stale leader shows the life before; the events that were read show the new one."""
    before = a_volume(CREATED, *ENDED)
    assert presence("u2", before, nth(4)) is LIVING


def test_what_was_seen_once_is_too_young() -> None:
    sightings = Sightings()
    seen = []
    for _ in range(3):
        sightings.begin()
        seen.append(sightings.confirmed("u1", GONE))
        sightings.end()
    assert seen == [False, True, True]


def test_another_judgement_begins_anew() -> None:
    sightings = Sightings()
    for judged, confirmed in ((UNKNOWN, False), (GONE, False), (GONE, True)):
        sightings.begin()
        assert sightings.confirmed("u1", judged) is confirmed
        sightings.end()


def test_a_uid_that_one_sweep_did_not_see_begins_anew() -> None:
    sightings = Sightings()
    for uids in (["u1"], [], ["u1"]):
        sightings.begin()
        assert not any(sightings.confirmed(uid, GONE) for uid in uids)
        sightings.end()


def test_a_sweep_that_did_not_end_confirms_nothing_and_forgets_nothing() -> None:
    sightings = Sightings()
    sightings.begin()
    assert not sightings.confirmed("u1", GONE)
    sightings.begin()  # the first one had no end: the cloud stopped answering
    assert not sightings.confirmed("u1", GONE)
    sightings.end()
    sightings.begin()
    sightings.begin()
    assert sightings.confirmed("u1", GONE)


VOLUME = "tenants/acme/workspaces/web/block-storages/disk"


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        ("block-storage", VOLUME, Ref("block-storage", VOLUME)),
        ("block-storage", "", None),
        ("block-storage", "tenants/acme/workspaces/web/block-storages", None),
        ("block-storage", f"{VOLUME}/more", None),
        ("instance", VOLUME, None),
        ("machine", VOLUME, None),
    ],
)
def test_only_an_address_that_a_resource_can_have_is_asked_for(
    kind: str, path: str, expected: Ref | None
) -> None:
    assert address(InventoryItem("u1", kind, path)) == expected


def test_every_kind_has_valid_addresses() -> None:
    for kind in KINDS.values():
        ref = given(kind.name, CREATED).ref
        assert address(InventoryItem("u1", kind.name, ref.path)) == ref


def test_what_is_removed_after_its_end_carries_no_secret() -> None:
    spec = {"userData": "sealed:k1:secret", "zone": "a"}
    instance = given("instance", Created(spec=spec), *ENDED).resource
    assert without_secrets(instance).spec == {"zone": "a"}


def test_of_a_life_of_which_one_event_is_left_address_and_uid_are_known() -> None:
    ref = given("block-storage", CREATED).ref
    (_, event) = history(ref, CREATED, DeletionRequested())
    known = remains(ref, event)
    assert (known.ref, known.uid, known.spec) == (ref, "u1", {})
