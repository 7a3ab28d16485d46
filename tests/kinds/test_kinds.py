"""Properties of every kind, derived from its definition."""

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from secaplane.command.body import BodyReader
from secaplane.kinds import KINDS, PROVIDERS, SHARED_TENANT, children, parents
from secaplane.model import address
from secaplane.model.document import document
from secaplane.model.errors import Invalid
from secaplane.model.events import Created, DeletionRequested
from secaplane.model.evolve import fold
from secaplane.model.kind import Backing, Kind
from secaplane.model.pointer import at, every, pointer_to
from secaplane.model.shape import Json, Ref, Resource, State
from tests.kinds.metadata import CLASSES
from tests.kinds.schemas import FORMATS, Edge, Schema
from tests.scenario import IDS, condition_texts, found, history

ROOT = Path(__file__).parent.parent.parent
BODIES = BodyReader(region="eu-1")
EVERY = list(KINDS.values())
WRITABLE = [kind for kind in EVERY if kind.writable]
FREE = [kind for kind in EVERY if Schema(kind.spec).free]
CLOSED = [kind for kind in EVERY if kind not in FREE]
SPECS: dict[str, Json] = {kind.name: Schema(kind.spec).smallest() for kind in EVERY}
EDGES = [(kind, edge) for kind in EVERY for edge in Schema(kind.spec).edges()]


def named(value: object) -> str:
    if isinstance(value, Kind):
        return value.name
    return f"{value.pointer} {value.rule}" if isinstance(value, Edge) else str(value)


def each(kinds: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=named)


def made(kind: Kind, spec: Json | None = None) -> Resource:
    ref = kind.ref(IDS, "one")
    resource = fold(history(ref, Created(spec=spec or SPECS[kind.name])))
    assert resource is not None
    return resource


# --- the list of kinds


MODULES = {
    path: import_module(f"secaplane.kinds.{path.parent.name}.{path.stem}")
    for path in (ROOT / "kinds").glob("*/*.py")
    if path.stem != "__init__"
}


def test_every_kind_file_is_in_the_list_of_kinds() -> None:
    assert {module.KIND.name: module.KIND for module in MODULES.values()} == KINDS
    assert len(MODULES) == len(KINDS)


@each(EVERY)
def test_a_kind_is_in_the_folder_of_its_provider(kind: Kind) -> None:
    (path,) = (path for path, module in MODULES.items() if module.KIND is kind)
    folder = import_module(f"secaplane.kinds.{path.parent.name}")
    assert kind.provider is folder.PROVIDER
    assert PROVIDERS[kind.provider.name] is kind.provider


@each(EVERY)
def test_the_names_of_a_kind_follow_seca(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
    assert re.fullmatch(r"([A-Z][a-z]+)+", kind.title)
    assert re.fullmatch(r"[a-z-]+(/{[a-z]+}/[a-z-]+)*", kind.collection)
    assert re.fullmatch(r"/providers/(seca|secaplane)\.[a-z-]+/v1(beta1)?/.+", kind.url)


def test_no_two_kinds_share_a_url() -> None:
    assert len({kind.url for kind in EVERY}) == len(EVERY)


# --- paths and metadata (SECA: resource envelope)


def test_every_kind_has_its_metadata_class() -> None:
    assert set(CLASSES) == set(KINDS)


@each(EVERY)
def test_metadata_has_exactly_the_fields_of_its_class(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1")["metadata"]
    assert set(metadata) == CLASSES[kind.name]


@each(EVERY)
def test_metadata_shows_the_address(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1", verb="PUT")["metadata"]
    below_scope = re.sub("^(tenants/acme/?)?(workspaces/web/?)?", "", made(kind).ref.collection)
    tail = f"{below_scope or 'workspaces'}/one"
    version = kind.provider.version
    assert metadata["name"] == "one"
    assert metadata["provider"] == f"{kind.provider.name}/{version}"
    assert metadata["resource"] == tail
    assert metadata["ref"] == f"{metadata['provider']}/{made(kind).ref.path}"
    constants = (metadata["verb"], metadata["apiVersion"], metadata["kind"])
    assert constants == ("PUT", version, kind.name)
    for field in ("tenant", "workspace", "network"):
        assert metadata.get(field, IDS[field]) == IDS[field]
    assert metadata.get("region", "eu-1") == "eu-1"


def test_the_whole_document_of_an_instance() -> None:
    kind = KINDS["instance"]
    resource = made(kind, {"zone": "a"})
    assert plain(document(kind, resource, region="eu-1")) == {
        "metadata": {
            "name": "one",
            "provider": "seca.compute/v1",
            "resource": "instances/one",
            "verb": "GET",
            "apiVersion": "v1",
            "kind": "instance",
            "ref": "seca.compute/v1/tenants/acme/workspaces/web/instances/one",
            "tenant": "acme",
            "workspace": "web",
            "region": "eu-1",
            "createdAt": "2026-01-01T12:00:01Z",
            "lastModifiedAt": "2026-01-01T12:00:01Z",
            "resourceVersion": 1,
        },
        "spec": {"zone": "a"},
        "status": {
            "state": "pending",
            "conditions": [{"state": "pending", "lastTransitionAt": "2026-01-01T12:00:01Z"}],
            "powerState": "off",
        },
    }


@each(WRITABLE)
def test_a_terminating_resource_shows_the_time_of_its_deletion(kind: Kind) -> None:
    terminating = fold(
        history(kind.ref(IDS, "one"), Created(spec=SPECS[kind.name]), DeletionRequested())
    )
    assert terminating is not None
    shown = msgspec.to_builtins(document(kind, terminating, region="eu-1"))
    assert shown["metadata"]["deletedAt"] == "2026-01-01T12:00:02Z"
    assert shown["status"]["state"] == "deleting"


@each(EVERY)
def test_the_parents_of_a_kind_are_the_ids_in_its_path(kind: Kind) -> None:
    expected = parents(kind.ref(IDS, "one"))
    for parent in expected:
        assert kind in children(KINDS[parent.kind])
    segments = [KINDS[parent.kind].collection.rpartition("/")[2] for parent in expected]
    steps = kind.collection.split("/")
    assert segments == ([] if kind.backing is Backing.CATALOGUE else steps[:-1:2])


def test_catalogue_entries_belong_to_the_shared_tenant() -> None:
    sku = KINDS["instance-sku"].ref({"tenant": SHARED_TENANT}, "seca.ds")
    assert sku == Ref("instance-sku", "tenants/seca/skus/seca.ds")


# --- spec


@each(EVERY)
def test_the_smallest_and_the_largest_spec_are_read_verbatim(kind: Kind) -> None:
    for spec in (SPECS[kind.name], Schema(kind.spec).whole()):
        read = plain(BODIES.read(kind, {"spec": spec}).spec)
        assert read == Schema(kind.spec).completed(spec)


def test_only_the_defaults_of_the_standard_are_applied() -> None:
    """In particular no SKU in a subnet, and no public IP in a NIC (docs/reference/api.md)."""
    target = "/frontends/*/target"
    assert {k.name: defaults for k in EVERY if (defaults := Schema(k.spec).defaults())} == {
        "instance": {"/bootVolume/type": "virtio", "/dataVolumes/*/type": "virtio"},
        "image": {"/boot": "UEFI", "/initializer": "none"},
        "internet-gateway": {"/egressOnly": False},
        "network-load-balancer": {
            f"{target}/algorithm": "round-robin",
            f"{target}/proxyProtocol": "none",
            f"{target}/healthCheck/type": "connect",
        },
    }


@pytest.mark.parametrize(("kind", "edge"), EDGES, ids=named)
def test_a_value_at_the_limit_is_valid_and_one_beyond_is_not(kind: Kind, edge: Edge) -> None:
    read = plain(BODIES.read(kind, {"spec": edge.kept}).spec)
    assert read == Schema(kind.spec).completed(edge.kept)
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": edge.broken})
    assert {source.pointer for source in raised.value.sources} == {f"/spec{edge.pointer}"}


def test_every_kind_with_a_schema_has_limits() -> None:
    assert {kind.name for kind, _ in EDGES} == {kind.name for kind in CLOSED}
    assert [kind.name for kind in FREE] == ["object-storage-account", "workspace"]


def test_every_format_in_a_schema_is_tested() -> None:
    used = {
        place.schema["format"]
        for kind in EVERY
        for place in Schema(kind.spec).places()
        if "format" in place.schema
    }
    assert used == set(FORMATS) == {*address.FORMATS, "date-time"}


@each(CLOSED)
def test_a_missing_required_field_is_refused(kind: Kind) -> None:
    whole = Schema(kind.spec).whole()
    for field in Schema(kind.spec).required():
        with pytest.raises(Invalid) as raised:
            BODIES.read(kind, {"spec": {k: v for k, v in whole.items() if k != field}})
        assert [source.pointer for source in raised.value.sources] == [f"/spec/{field}"]


@each(CLOSED)
def test_an_unknown_field_is_refused(kind: Kind) -> None:
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": SPECS[kind.name] | {"notKnown": None}})
    assert [source.pointer for source in raised.value.sources] == ["/spec/notKnown"]


@each(EVERY)
def test_the_pointers_of_a_kind_exist_in_its_schemas(kind: Kind) -> None:
    spec, status = Schema(kind.spec), Schema(kind.status)
    rules = kind.rules
    pointers = (*rules.immutable, *rules.set_once, *rules.zones, *kind.secrets.spec)
    assert [pointer for pointer in pointers if not spec.has(pointer)] == []
    assert [pointer for pointer in kind.secrets.status if not status.has(pointer)] == []
    for whole, secret in ((spec.whole(), kind.secrets.spec), (status.whole(), kind.secrets.status)):
        assert all(isinstance(at(whole, pointer), str) for pointer in secret)


@each(EVERY)
def test_the_rules_of_a_kind_name_what_exists(kind: Kind) -> None:
    """And an exclusion of two fields is named at both."""
    spec, rules, places = Schema(kind.spec), kind.rules, {link.at for link in kind.links}
    for fields in (
        *(each.fields for each in rules.compared),
        *(use.fields for use in rules.in_use),
    ):
        assert fields
        assert all(spec.has(field) for field in fields)
    for compared in rules.compared:
        assert set(compared.parents) <= {each.kind for each in parents(kind.ref(IDS, "one"))}
        assert {*compared.targets, *(at for at, _ in compared.follows)} <= places
    for use in rules.in_use:
        assert set(use.children) <= {each.name for each in children(kind)}
        for name in use.referrers:
            assert any(kind.name in link.to for link in KINDS[name].links)
    for link in kind.exclusive_links:
        for place in link.excludes:
            assert any(other.at == place and link.at in other.excludes for other in kind.links)


@each(EVERY)
def test_every_reference_and_zone_in_a_schema_is_declared_by_its_kind(kind: Kind) -> None:
    """Without a link, a reference would not be checked; a list of names is a link, too."""
    whole = Schema(kind.spec).whole()
    places = list(Schema(kind.spec).places())
    references = {pointer_to(p.path).replace("/0", "/*") for p in places if p.title == "Reference"}
    linked = {link.at for link in kind.links}
    assert references == {each for each in linked if isinstance(next(values(whole, each)), dict)}
    assert linked - references == {
        each for each in linked if isinstance(next(values(whole, each)), str)
    }
    zones = {pointer_to(p.path) for p in places if p.path[-1:] == ("zone",)}
    assert zones == set(kind.rules.zones)


def values(whole: Json, pattern: str) -> Iterator[Any]:
    yield from (value for _, value in every(whole, pattern))


@each(EVERY)
def test_the_kinds_in_a_link_exist(kind: Kind) -> None:
    for link in kind.links:
        assert set(link.to) <= set(KINDS)
        assert not link.shared_through or link.shared_through in KINDS
        assert link.strict or not link.deferrable_as, "a deferred link needs no setting to defer it"


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


# --- status


@each(WRITABLE)
def test_the_first_answer_has_all_required_status_fields(kind: Kind) -> None:
    shown = msgspec.to_builtins(document(kind, made(kind), region="eu-1"))
    own = {k: v for k, v in shown["status"].items() if k not in ("state", "conditions")}
    msgspec.convert(own, kind.status)
    initial = {"additionalCidrs"} if kind.name == "network" else set()
    assert set(own) == set(Schema(kind.status).required()) | initial


@each([kind for kind in EVERY if kind.backing is Backing.CATALOGUE])
def test_catalogue_entries_have_no_status(kind: Kind) -> None:
    assert set(document(kind, made(kind), region="eu-1")) == {"metadata", "spec"}


@each(WRITABLE)
def test_the_reported_status_replaces_the_initial_one(kind: Kind) -> None:
    status = Schema(kind.status).whole()
    resource = fold(
        history(
            kind.ref(IDS, "one"),
            Created(spec=SPECS[kind.name]),
            found(State.ACTIVE, observed_position=1, **status),
        )
    )
    assert resource is not None
    shown = document(kind, resource, region="eu-1")["status"]
    assert {field: shown[field] for field in status} == status
    assert condition_texts(resource) == ["active", "creating", "pending"]
