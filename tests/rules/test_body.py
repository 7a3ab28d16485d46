"""The body of a PUT: the parts that are used, and every rule that it breaks."""

from typing import Any

import pytest
from msgspec import UNSET

from secaplane.command.body import (
    KEY_LENGTH_MAX,
    LISTED_MAX,
    PARTS_MAX,
    BodyReader,
    PutBody,
)
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid, Malformed
from secaplane.model.kind import Kind
from secaplane.model.pointer import pointer_to
from secaplane.model.shape import Json
from tests.kinds.schemas import KEY, Path, Schema, put

BODIES = BodyReader(region="eu-1", extensions=["billing"])
BOOT = {"deviceRef": {"resource": "block-storages/d"}}
SPEC: Json = {"skuRef": {"resource": "skus/s"}, "zone": "a", "bootVolume": BOOT}
VOLUME: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/s"}}
CLOSED = [kind for kind in KINDS.values() if kind.writable and not Schema(kind.spec).free]


def read(kind: str, sent: Any) -> PutBody:
    return BODIES.read(KINDS[kind], sent)


def broken(kind: str, sent: Any) -> list[str]:
    with pytest.raises(Invalid) as raised:
        read(kind, sent)
    return sorted(source.pointer for source in raised.value.sources)


# --- the parts that are used


def test_only_the_defaults_of_the_schema_are_filled_in() -> None:
    data = [{"deviceRef": {"resource": "block-storages/e"}}]
    wanted = read("instance", {"spec": SPEC | {"dataVolumes": data}})
    assert wanted == PutBody(
        spec=SPEC
        | {
            "bootVolume": BOOT | {"type": "virtio"},
            "dataVolumes": [data[0] | {"type": "virtio"}],
        }
    )


def test_a_volume_has_no_defaults() -> None:
    assert read("block-storage", {"spec": VOLUME}) == PutBody(spec=VOLUME)


@pytest.mark.parametrize(
    "reference",
    [
        {"resource": "s"},
        {"resource": "skus/seca.rd100"},
        {"resource": "seca.storage/v1/tenants/seca/skus/seca.rd100"},
        {"resource": " ../odd?#é "},
        {"resource": "skus/s", "provider": "", "tenant": "", "workspace": "", "region": ""},
        {"resource": "skus/s", "provider": "seca.storage/v1", "tenant": "seca"},
    ],
)
def test_a_reference_is_kept_as_it_was_written(reference: Json) -> None:
    spec = VOLUME | {"skuRef": reference}
    assert read("block-storage", {"spec": spec}).spec == spec


def test_the_order_of_a_list_is_kept() -> None:
    roles = ["z", "a", "m", "a"]
    spec = {"subs": ["b", "a"], "roles": roles, "scopes": [{}]}
    assert read("role-assignment", {"spec": spec}).spec == spec


def test_labels_annotations_and_extensions_are_kept() -> None:
    parts = {"labels": {"env": ""}, "annotations": {"ä b": "1"}, "extensions": {"billing": "x"}}
    assert read("block-storage", {"spec": VOLUME, **parts}) == PutBody(spec=VOLUME, **parts)


def test_an_empty_part_is_not_an_absent_one() -> None:
    assert read("block-storage", {"spec": VOLUME, "labels": {}}).labels == {}
    assert read("block-storage", {"spec": VOLUME}).labels is UNSET


@pytest.mark.parametrize("anything", [None, {}, [], "x", 7, {"createdAt": "0001-01-01"}])
def test_metadata_and_status_may_hold_anything(anything: object) -> None:
    sent = {"spec": VOLUME, "metadata": anything, "status": anything}
    assert read("block-storage", sent) == PutBody(spec=VOLUME)


def test_a_former_answer_may_be_sent_back() -> None:
    answer = {
        "metadata": {"name": "d", "verb": "GET", "region": "eu-1", "resourceVersion": 3},
        "spec": VOLUME,
        "status": {"state": "active", "conditions": [], "sizeGB": 5},
    }
    assert read("block-storage", answer) == PutBody(spec=VOLUME)


@pytest.mark.parametrize("sent", [{}, {"spec": None}, {"spec": {}}])
def test_a_workspace_needs_no_spec(sent: Json) -> None:
    assert read("workspace", sent) == PutBody(spec={})


# --- null

ABSENT = VOLUME | {"sourceImageRef": None, "skuRef": {"resource": "skus/s", "tenant": None}}


def test_null_is_an_absent_field() -> None:
    """Clients of a typed language send null for what they leave out."""
    parts = {"labels": None, "annotations": None, "extensions": None}
    assert read("block-storage", {"spec": ABSENT, **parts}) == PutBody(spec=VOLUME)
    volumes = {"dataVolumes": [BOOT | {"type": None}], "sshKeys": None, "primaryNicRef": None}
    read_back = read("instance", {"spec": SPEC | volumes}).spec
    assert read_back["dataVolumes"] == [BOOT | {"type": "virtio"}]
    assert not {"sshKeys", "primaryNicRef"} & set(read_back)


def test_null_for_a_required_field_is_refused_as_missing() -> None:
    with pytest.raises(Invalid) as raised:
        read("block-storage", {"spec": VOLUME | {"sizeGB": None, "sourceImageRef": None}})
    assert raised.value.detail == "/spec/sizeGB: is required"


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({"spec": SPEC | {"sshKeys": ["a", None]}}, ["/spec/sshKeys/1"]),
        ({"spec": SPEC | {"dataVolumes": [None]}}, ["/spec/dataVolumes/0"]),
        ({"spec": SPEC, "labels": {"a": None}}, ["/labels/a"]),
        ({"spec": SPEC, "annotations": {"a": "b", "c": None}}, ["/annotations/c"]),
        ({"spec": SPEC, "extensions": {"billing": None}}, ["/extensions/billing"]),
        ({"spec": SPEC | {"unknown": None}}, ["/spec/unknown"]),
    ],
)
def test_null_in_a_list_or_map_is_refused(sent: Json, pointers: list[str]) -> None:
    assert broken("instance", sent) == pointers


@pytest.mark.parametrize("kind", CLOSED, ids=lambda kind: kind.name)
def test_every_field_of_every_kind_that_is_null_is_read_as_if_it_were_absent(kind: Kind) -> None:
    """Also in the items of lists: accepted where it is optional, else "is required"."""
    whole = Schema(kind.spec).whole()
    paths = [place.path for place in Schema(kind.spec).places()]
    fields = [path for path in paths if path and isinstance(path[-1], str) and path[-1] != KEY]
    assert fields
    for path in fields:
        absent = outcome(kind, without(whole, path))
        assert outcome(kind, put(whole, path, None)) == absent
        assert isinstance(absent, PutBody) or absent.endswith("is required")


def outcome(kind: Kind, spec: Json) -> PutBody | str:
    try:
        return BODIES.read(kind, {"spec": spec})
    except Invalid as refusal:
        return refusal.detail


def without(whole: Any, path: Path) -> Any:
    """A copy without the field at the path; lists on the path keep only their first item."""
    first, *rest = path
    if not rest:
        return {key: each for key, each in whole.items() if key != first}
    if isinstance(whole, list):
        return [without(whole[0], tuple(rest))]
    return whole | {first: without(whole[first], tuple(rest))}


@pytest.mark.parametrize("addresses", [{}, {"addresses": None}, {"addresses": []}])
def test_a_nic_needs_no_addresses_and_shows_none_in_its_spec(addresses: Json) -> None:
    spec = {"subnetRef": {"resource": "networks/n/subnets/s"}}
    assert read("nic", {"spec": spec | addresses}) == PutBody(spec=spec)


# --- keys of labels


@pytest.mark.parametrize("key", ["a", "ä b", "seca.cloud/x", "a:b", 'say "a"', "*", "a\\b"])
def test_a_label_that_a_selector_can_name_is_accepted(key: str) -> None:
    assert read("block-storage", {"spec": VOLUME, "labels": {key: ""}}).labels == {key: ""}


@pytest.mark.parametrize("key", ["", " ", " a", "a ", "a\t", "a=b", "!", "a<", ">", "a,b"])
def test_a_label_that_no_selector_could_name_is_refused(key: str) -> None:
    sent = {"spec": VOLUME, "labels": {"ok": "x", key: "x"}}
    assert broken("block-storage", sent) == [pointer_to(("labels", key))]


# --- the region


@pytest.mark.parametrize("region", ["eu-1", "", None])
def test_the_own_region_or_none_is_accepted(region: str | None) -> None:
    read("workspace", {"metadata": {"region": region}})


@pytest.mark.parametrize("region", ["eu-2", "EU-1", 1, ["eu-1"]])
def test_another_region_is_refused(region: object) -> None:
    assert broken("workspace", {"metadata": {"region": region}}) == ["/metadata/region"]


def test_a_global_resource_belongs_to_every_region() -> None:
    permission = {"provider": "seca.network", "resources": ["*"], "verb": ["GET"]}
    sent = {"metadata": {"region": "eu-2"}, "spec": {"permissions": [permission]}}
    assert read("role", sent).spec == {"permissions": [permission]}


# --- what is refused


@pytest.mark.parametrize("sent", [None, [], "x", 7, True, [{"spec": {}}]])
def test_a_body_is_an_object(sent: object) -> None:
    with pytest.raises(Malformed):
        read("workspace", sent)


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        ({}, ["/spec"]),
        ({"spec": None}, ["/spec"]),
        ({"spec": []}, ["/spec"]),
        ({"spec": {}}, ["/spec/sizeGB", "/spec/skuRef"]),
        ({"spec": VOLUME, "specs": 1, "Labels": {}}, ["/Labels", "/specs"]),
        ({"spec": VOLUME | {"sizeGb": 1}}, ["/spec/sizeGb"]),
        ({"spec": VOLUME | {"size_gb": 1}}, ["/spec/size_gb"]),
        ({"spec": VOLUME | {"sizeGB": "10"}}, ["/spec/sizeGB"]),
        ({"spec": VOLUME | {"sizeGB": 1.5}}, ["/spec/sizeGB"]),
        ({"spec": VOLUME | {"sizeGB": True}}, ["/spec/sizeGB"]),
        ({"spec": VOLUME | {"sizeGB": None}}, ["/spec/sizeGB"]),
        ({"spec": VOLUME | {"skuRef": "skus/s"}}, ["/spec/skuRef"]),
        ({"spec": VOLUME | {"skuRef": {}}}, ["/spec/skuRef/resource"]),
        ({"spec": VOLUME | {"skuRef": {"resource": ""}}}, ["/spec/skuRef/resource"]),
        (
            {"spec": VOLUME | {"skuRef": {"resource": "s", "ref": "s", "a/b": 1}}},
            ["/spec/skuRef/a~1b", "/spec/skuRef/ref"],
        ),
        ({"spec": VOLUME, "labels": {"env": "x" * 64}}, ["/labels/env"]),
        ({"spec": VOLUME, "labels": {"a/b": 1, "ok": "x"}}, ["/labels/a~1b"]),
        ({"spec": VOLUME, "labels": []}, ["/labels"]),
        ({"spec": VOLUME, "annotations": {"a": "x" * 1025}}, ["/annotations/a"]),
        ({"spec": VOLUME, "extensions": {"billing": 1}}, ["/extensions/billing"]),
        (
            {"spec": VOLUME, "extensions": {"billing": "", "x": "", "y/z": ""}},
            ["/extensions/x", "/extensions/y~1z"],
        ),
        (
            {
                "spec": {"sizeGB": 0, "skuRef": {"resource": "x" * 257, "tenant": 1}, "x": 1},
                "labels": {"env": "x" * 64},
                "unknown": 1,
            },
            [
                "/labels/env",
                "/spec/sizeGB",
                "/spec/skuRef/resource",
                "/spec/skuRef/tenant",
                "/spec/x",
                "/unknown",
            ],
        ),
    ],
)
def test_every_broken_rule_has_a_pointer(sent: Json, pointers: list[str]) -> None:
    assert broken("block-storage", sent) == pointers


def test_rules_deep_in_lists_have_pointers_too() -> None:
    volumes = [BOOT, {"deviceRef": {"resource": 1}}, {"type": "ide"}]
    sent = {"spec": SPEC | {"zone": "", "dataVolumes": volumes, "sshKeys": ["ok", ""]}}
    assert broken("instance", sent) == [
        "/spec/dataVolumes/1/deviceRef/resource",
        "/spec/dataVolumes/2/deviceRef",
        "/spec/dataVolumes/2/type",
        "/spec/sshKeys/1",
        "/spec/zone",
    ]


def test_a_refusal_does_not_repeat_a_secret() -> None:
    secret = "hunter2" * 10_000
    with pytest.raises(Invalid) as raised:
        read("instance", {"spec": SPEC | {"userData": secret}})
    assert "hunter2" not in raised.value.detail
    assert raised.value.detail == "/spec/userData: takes at most 65536 characters"


@pytest.mark.parametrize("verb", ["get", "GET", "Put", "post", "post.start", "POST.Restart", "*"])
def test_a_role_takes_verbs_in_either_case(verb: str) -> None:
    permission = {"provider": "seca.compute/v1", "resources": ["instances/*"], "verb": [verb]}
    assert (
        read("role", {"spec": {"permissions": [permission]}}).spec["permissions"][0] == permission
    )


@pytest.mark.parametrize(
    ("kind", "sent", "detail"),
    [
        (
            "role",
            {"spec": {"permissions": []}},
            "/spec/permissions: takes at least 1 item",
        ),
        (
            "block-storage",
            {"spec": VOLUME | {"skuRef": {"resource": ""}}},
            "/spec/skuRef/resource: takes at least 1 character",
        ),
        (
            "block-storage",
            {"spec": VOLUME, "labels": {"a": "x" * 64}},
            "/labels/a: takes at most 63 characters",
        ),
    ],
)
def test_one_is_singular(kind: str, sent: Json, detail: str) -> None:
    with pytest.raises(Invalid) as raised:
        read(kind, sent)
    assert raised.value.detail == detail


# --- crowds


@pytest.mark.parametrize("part", ["labels", "annotations", "extensions"])
def test_the_number_of_labels_annotations_and_extensions_is_limited(part: str) -> None:
    crowd = {f"k{n}": "v" for n in range(PARTS_MAX)}
    known = BodyReader(region="eu-1", extensions=[*crowd, "one", "x" * 200])
    sent = {"spec": VOLUME, part: crowd}
    assert getattr(known.read(KINDS["block-storage"], sent), part) == crowd
    with pytest.raises(Malformed) as raised:
        known.read(KINDS["block-storage"], {"spec": VOLUME, part: crowd | {"one": "more"}})
    assert [source.pointer for source in raised.value.sources] == [f"/{part}"]


@pytest.mark.parametrize("part", ["labels", "annotations", "extensions"])
def test_the_length_of_a_key_is_limited(part: str) -> None:
    longest, longer = "é" * KEY_LENGTH_MAX, "é" * (KEY_LENGTH_MAX + 1)
    known = BodyReader(region="eu-1", extensions=[longest, longer])
    known.read(KINDS["block-storage"], {"spec": VOLUME, part: {longest: "v"}})
    with pytest.raises(Malformed) as raised:
        known.read(KINDS["block-storage"], {"spec": VOLUME, part: {longer: "v"}})
    assert [source.pointer for source in raised.value.sources] == [f"/{part}"]


def test_the_number_of_listed_broken_rules_is_limited() -> None:
    crowd = {f"unknown{n}": n for n in range(1000)}
    assert len(broken("block-storage", {"spec": VOLUME | crowd})) == 100


def test_of_a_very_large_body_only_the_first_broken_rule_is_listed() -> None:
    crowd = {f"unknown{n}": n for n in range(LISTED_MAX)}
    assert broken("block-storage", {"spec": VOLUME | crowd}) == ["/spec"]
