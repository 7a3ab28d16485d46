"""What holds for every kind, read off the catalogue."""

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
from tests.scenario import IDS, found, history, told

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


# --- the catalogue


MODULES = {
    path: import_module(f"secaplane.kinds.{path.parent.name}.{path.stem}")
    for path in (ROOT / "kinds").glob("*/*.py")
    if path.stem != "__init__"
}


def test_every_kind_file_is_in_the_catalogue() -> None:
    assert {module.KIND.name: module.KIND for module in MODULES.values()} == KINDS
    assert len(MODULES) == len(KINDS)


@each(EVERY)
def test_a_kind_lies_in_the_folder_of_its_provider(kind: Kind) -> None:
    (path,) = (path for path, module in MODULES.items() if module.KIND is kind)
    folder = import_module(f"secaplane.kinds.{path.parent.name}")
    assert kind.provider is folder.PROVIDER
    assert PROVIDERS[kind.provider.name] is kind.provider


@each(EVERY)
def test_a_kind_is_named_as_seca_names_kinds(kind: Kind) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.name)
    assert re.fullmatch(r"([A-Z][a-z]+)+", kind.title)
    assert re.fullmatch(r"[a-z-]+(/{[a-z]+}/[a-z-]+)*", kind.collection)
    assert re.fullmatch(r"/providers/(seca|secaplane)\.[a-z-]+/v1(beta1)?/.+", kind.url)


def test_no_two_kinds_share_a_url() -> None:
    assert len({kind.url for kind in EVERY}) == len(EVERY)


# --- where it lies, and what its metadata says (digest, section 5)


def test_every_kind_has_its_metadata_class() -> None:
    assert set(CLASSES) == set(KINDS)


@each(EVERY)
def test_metadata_has_exactly_the_fields_of_its_class(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1")["metadata"]
    assert set(metadata) == CLASSES[kind.name]


@each(EVERY)
def test_metadata_says_where_it_is(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1", verb="PUT")["metadata"]
    inside = re.sub("^(tenants/acme/?)?(workspaces/web/?)?", "", made(kind).ref.collection)
    tail = f"{inside or 'workspaces'}/one"
    version = kind.provider.version
    assert metadata["name"] == "one"
    assert metadata["provider"] == f"{kind.provider.name}/{version}"
    assert metadata["resource"] == tail
    assert metadata["ref"] == f"{metadata['provider']}/{made(kind).ref.path}"
    said = (metadata["verb"], metadata["apiVersion"], metadata["kind"])
    assert said == ("PUT", version, kind.name)
    for field in ("tenant", "workspace", "network"):
        assert metadata.get(field, IDS[field]) == IDS[field]
    assert metadata.get("region", "eu-1") == "eu-1"


def test_an_instance_is_shown_whole() -> None:
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
def test_what_is_going_says_since_when(kind: Kind) -> None:
    terminating = fold(
        history(kind.ref(IDS, "one"), Created(spec=SPECS[kind.name]), DeletionRequested())
    )
    assert terminating is not None
    shown = msgspec.to_builtins(document(kind, terminating, region="eu-1"))
    assert shown["metadata"]["deletedAt"] == "2026-01-01T12:00:02Z"
    assert shown["status"]["state"] == "deleting"


@each(EVERY)
def test_a_kinds_parents_are_the_ids_around_it(kind: Kind) -> None:
    above = parents(kind.ref(IDS, "one"))
    for parent in above:
        assert kind in children(KINDS[parent.kind])
    named_above = [KINDS[parent.kind].collection.rpartition("/")[2] for parent in above]
    steps = kind.collection.split("/")
    assert named_above == ([] if kind.backing is Backing.CATALOGUE else steps[:-1:2])


def test_the_shared_catalogue_lies_in_the_shared_tenant() -> None:
    sku = KINDS["instance-sku"].ref({"tenant": SHARED_TENANT}, "seca.ds")
    assert sku == Ref("instance-sku", "tenants/seca/skus/seca.ds")


# --- its spec


@each(EVERY)
def test_the_smallest_and_the_fullest_spec_are_read_verbatim(kind: Kind) -> None:
    for spec in (SPECS[kind.name], Schema(kind.spec).whole()):
        read = plain(BODIES.read(kind, {"spec": spec}).spec)
        assert read == Schema(kind.spec).completed(spec)


def test_only_the_defaults_of_the_standard_are_filled_in() -> None:
    """Above all no SKU in a subnet, and no public IP in a NIC (CONTRACT: Answers)."""
    target = "/frontends/*/target"
    assert {kind.name: found for kind in EVERY if (found := Schema(kind.spec).defaults())} == {
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
def test_a_limit_is_kept_at_the_edge_and_broken_beyond(kind: Kind, edge: Edge) -> None:
    read = plain(BODIES.read(kind, {"spec": edge.kept}).spec)
    assert read == Schema(kind.spec).completed(edge.kept)
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": edge.broken})
    assert {source.pointer for source in raised.value.sources} == {f"/spec{edge.pointer}"}


def test_there_are_limits_to_be_kept() -> None:
    assert {kind.name for kind, _ in EDGES} == {kind.name for kind in CLOSED}
    assert [kind.name for kind in FREE] == ["object-storage-account", "workspace"]


def test_every_format_that_a_schema_asks_for_has_its_edges() -> None:
    asked = {
        place.schema["format"]
        for kind in EVERY
        for place in Schema(kind.spec).places()
        if "format" in place.schema
    }
    assert asked == set(FORMATS) == {*address.FORMATS, "date-time"}


@each(CLOSED)
def test_a_field_that_must_be_there_must_be_there(kind: Kind) -> None:
    whole = Schema(kind.spec).whole()
    for field in Schema(kind.spec).required():
        with pytest.raises(Invalid) as raised:
            BODIES.read(kind, {"spec": {k: v for k, v in whole.items() if k != field}})
        assert [source.pointer for source in raised.value.sources] == [f"/spec/{field}"]


@each(CLOSED)
def test_a_field_that_is_not_known_is_refused(kind: Kind) -> None:
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": SPECS[kind.name] | {"notKnown": None}})
    assert [source.pointer for source in raised.value.sources] == ["/spec/notKnown"]


@each(EVERY)
def test_what_its_row_points_to_is_in_the_schema(kind: Kind) -> None:
    spec, status = Schema(kind.spec), Schema(kind.status)
    named_there = (
        *kind.rules.immutable,
        *kind.rules.set_once,
        *kind.rules.zones,
        *kind.secrets.spec,
    )
    assert [pointer for pointer in named_there if not spec.has(pointer)] == []
    assert [pointer for pointer in kind.secrets.status if not status.has(pointer)] == []
    for whole, secret in ((spec.whole(), kind.secrets.spec), (status.whole(), kind.secrets.status)):
        assert all(isinstance(at(whole, pointer), str) for pointer in secret)


@each(EVERY)
def test_every_reference_and_every_zone_in_a_schema_is_in_its_row(kind: Kind) -> None:
    """Nothing is referred to that is not looked for; a list of names is a link, too."""
    whole = Schema(kind.spec).whole()
    places = list(Schema(kind.spec).places())
    said = {pointer_to(p.path).replace("/0", "/*") for p in places if p.title == "Reference"}
    linked = {link.at for link in kind.links}
    assert said == {each for each in linked if isinstance(next(values(whole, each)), dict)}
    assert linked - said == {each for each in linked if isinstance(next(values(whole, each)), str)}
    zones = {pointer_to(p.path) for p in places if p.path[-1:] == ("zone",)}
    assert zones == set(kind.rules.zones)


def values(whole: Json, pattern: str) -> Iterator[Any]:
    yield from (value for _, value in every(whole, pattern))


@each(EVERY)
def test_a_link_leads_to_kinds_there_are(kind: Kind) -> None:
    for link in kind.links:
        assert set(link.to) <= set(KINDS)
        assert not link.shared_through or link.shared_through in KINDS
        assert link.strict or not link.deferrable_as, "what is deferred anyway needs no switch"


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


# --- its status


@each(WRITABLE)
def test_what_a_status_must_hold_it_holds_from_the_first_answer_on(kind: Kind) -> None:
    shown = msgspec.to_builtins(document(kind, made(kind), region="eu-1"))
    own = {k: v for k, v in shown["status"].items() if k not in ("state", "conditions")}
    msgspec.convert(own, kind.status)
    known_at_once = {"additionalCidrs"} if kind.name == "network" else set()
    assert set(own) == set(Schema(kind.status).required()) | known_at_once


@each([kind for kind in EVERY if kind.backing is Backing.CATALOGUE])
def test_what_is_on_offer_has_no_status(kind: Kind) -> None:
    assert set(document(kind, made(kind), region="eu-1")) == {"metadata", "spec"}


@each(WRITABLE)
def test_what_is_found_is_shown_over_what_is_known_at_first(kind: Kind) -> None:
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
    assert told(resource) == ["active", "creating", "pending"]
