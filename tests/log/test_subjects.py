"""Subjects of resources in the log. They are fixed for ever: the examples here never change."""

import itertools

import pytest

from secaplane.eventlog.subjects import every, prefix, ref, slot, subject
from secaplane.kinds import KINDS
from secaplane.model.shape import Ref
from tests.log.new_events import DISK, ELSEWHERE, IDS, ONE, REGION, ROLE, TWO, WEB, WEBSITE

EVERYWHERE = (WEB, ONE, TWO, DISK, WEBSITE, ELSEWHERE, ROLE)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-=."
NAMES = ["one", "a.b", "a..b", "UPPER", "*", ">", "a b", "é", "😀", "=2E", "a=b", "\0", "a\nb"]


@pytest.mark.parametrize(
    ("place", "written"),
    [
        (ONE, "seca.eu-1.82.tenants.acme.workspaces.web.instances.one.instance"),
        (WEB, "seca.eu-1.82.tenants.acme.workspaces.web.workspace"),
        (
            KINDS["block-storage"].ref(IDS, "d.1"),
            "seca.eu-1.82.tenants.acme.workspaces.web.block-storages.d=2E1.block-storage",
        ),
        (ROLE, "seca.global.82.tenants.acme.roles.reader.role"),
        (Ref("tenant", "tenants/acme"), "seca.global.82.tenants.acme.tenant"),
        (Ref("region", "regions/eu-1"), "seca.global.00.regions.eu-1.region"),
        (
            KINDS["storage-sku"].ref({"tenant": "seca"}, "RD_500"),
            "seca.eu-1.3a.tenants.seca.skus.RD=5F500.storage-sku",
        ),
    ],
)
def test_the_subject_of_a_resource_does_not_change(place: Ref, written: str) -> None:
    assert subject(place, REGION) == written
    assert ref(written) == place


def test_a_region_with_dots_is_one_token() -> None:
    assert subject(WEB, "eu.west_1").startswith("seca.eu=2Ewest=5F1.82.")
    assert ref(subject(WEB, "eu.west_1")) == WEB


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_encoded_reversibly_and_without_wildcards(name: str) -> None:
    place = KINDS["instance"].ref(IDS, name)
    written = subject(place, REGION)
    assert ref(written) == place
    assert not set(written) - set(LETTERS)


def test_no_two_names_share_a_subject() -> None:
    written = {subject(KINDS["instance"].ref(IDS, name), REGION) for name in NAMES}
    assert len(written) == len(NAMES)


@pytest.mark.parametrize(
    "written", ["", "x", "seca", "seca.eu-1.00", "other.eu-1.00.regions.x.region"]
)
def test_a_string_that_is_no_subject_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        ref(written)


# --- filters


def matches(written: str, pattern: str) -> bool:
    """The wildcards of NATS: `*` matches one token, `>` one or more at the end."""
    tokens, expected = written.split("."), pattern.split(".")
    if expected[-1] == ">":
        tokens, expected = tokens[: len(expected)], [*expected[:-1], "*"]
    return len(tokens) == len(expected) and all(
        each in ("*", token) for token, each in zip(tokens, expected, strict=True)
    )


def test_the_prefix_of_a_resource_matches_itself_and_its_contents() -> None:
    pattern = prefix(WEB, REGION)
    assert pattern == "seca.eu-1.82.tenants.acme.workspaces.web.>"
    matched = {place for place in EVERYWHERE if matches(subject(place, REGION), pattern)}
    assert matched == {WEB, ONE, TWO, DISK}


def test_the_prefix_of_a_resource_without_children_matches_only_itself() -> None:
    pattern = prefix(ONE, REGION)
    assert [place for place in EVERYWHERE if matches(subject(place, REGION), pattern)] == [ONE]


@pytest.mark.parametrize("kind", KINDS)
def test_the_filter_for_a_kind_matches_all_its_resources_and_no_others(kind: str) -> None:
    ids = [IDS, IDS | {"tenant": "other", "workspace": "a.b"}]
    places = {
        subject(each.ref(id_set, name), REGION): each.name
        for each in KINDS.values()
        for id_set, name in itertools.product(ids, ["one", "a.b", "instances"])
    }
    matched = [of for written, of in places.items() if matches(written, every(kind, REGION))]
    assert set(matched) == {kind}
    assert len(matched) == list(places.values()).count(kind)


def test_the_filter_for_a_kind_does_not_change() -> None:
    assert every("role", REGION) == "seca.global.*.tenants.*.roles.*.role"
    assert every("instance", REGION) == "seca.eu-1.*.tenants.*.workspaces.*.instances.*.instance"
    assert every("region", REGION) == "seca.global.*.regions.*.region"


# --- slots


@pytest.mark.parametrize(
    ("tenant", "expected"),
    [("", "00"), ("acme", "82"), ("seca", "3a"), ("other", "d9"), ("demo", "2a"), ("a.b", "2e")],
)
def test_a_tenant_stays_in_its_slot(tenant: str, expected: str) -> None:
    assert slot(tenant) == expected


def test_tenants_spread_over_the_slots() -> None:
    slots = [slot(f"tenant-{n}") for n in range(4096)]
    assert len(set(slots)) == 256
    assert max(slots.count(each) for each in set(slots)) < 48
