"""What holds for every kind, read off the catalogue."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import command.http
import query.http
from command.body import Bodies
from edge import openapi
from kinds import KINDS, PROVIDERS, SHARED_TENANT, children, parents
from model.document import document
from model.errors import Invalid
from model.events import Created, DeletionRequested
from model.evolve import fold
from model.kind import Kind
from model.pointer import at
from model.shape import Json, Ref, Resource, State
from tests.kinds.schemas import Edge, Schema
from tests.scenario import found, history, told

ROOT = Path(__file__).parent.parent.parent
IDS = {"tenant": "acme", "workspace": "web", "network": "net"}
BODIES = Bodies(region="eu-1")
EVERY = list(KINDS.values())
WRITABLE = [kind for kind in EVERY if kind.writable]
SPECS: dict[str, Json] = {
    kind.name: {} if kind.spec_optional else Schema(kind.spec).smallest() for kind in EVERY
}
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


def test_every_kind_file_is_in_the_catalogue() -> None:
    files = [path for path in (ROOT / "kinds").glob("*/*.py") if path.stem != "__init__"]
    modules = [import_module(f"kinds.{path.parent.name}.{path.stem}") for path in files]
    assert {module.KIND.name: module.KIND for module in modules} == KINDS
    assert len(files) == len(KINDS)


@each(EVERY)
def test_a_kind_lies_in_the_folder_of_its_provider(kind: Kind) -> None:
    (path,) = (ROOT / "kinds").glob(f"*/{kind.name.replace('-', '_')}.py")
    folder = import_module(f"kinds.{path.parent.name}")
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

COMMON = {"name", "provider", "resource", "verb", "apiVersion", "kind", "ref"}
CLASSES = {
    "region": set(),
    "tenant": set(),
    "role": {"tenant"},
    "role-assignment": {"tenant"},
    "workspace": {"tenant", "region"},
    "instance": {"tenant", "workspace", "region"},
    "block-storage": {"tenant", "workspace", "region"},
    "instance-sku": {"tenant", "region"},
    "storage-sku": {"tenant", "region"},
}
TIMES = {"createdAt", "lastModifiedAt", "resourceVersion"}


def test_every_kind_has_its_metadata_class() -> None:
    assert set(CLASSES) == set(KINDS)


@each(EVERY)
def test_metadata_has_exactly_the_fields_of_its_class(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1")["metadata"]
    times = set() if kind.name.endswith("-sku") else TIMES
    assert set(metadata) == COMMON | CLASSES[kind.name] | times


@each(EVERY)
def test_metadata_says_where_it_is(kind: Kind) -> None:
    metadata = document(kind, made(kind), region="eu-1", verb="PUT")["metadata"]
    tail = f"{kind.collection.rpartition('/')[2]}/one"
    assert metadata["name"] == "one"
    assert metadata["provider"] == f"{kind.provider.name}/{kind.provider.version}"
    assert metadata["resource"] == tail
    assert metadata["ref"] == f"{metadata['provider']}/{made(kind).ref.path}"
    assert (metadata["verb"], metadata["apiVersion"], metadata["kind"]) == ("PUT", "v1", kind.name)
    around = {field: metadata[field] for field in ("tenant", "workspace") if field in metadata}
    assert around == {field: IDS[field] for field in kind.scope}
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
    going = fold(history(kind.ref(IDS, "one"), Created(spec=SPECS[kind.name]), DeletionRequested()))
    assert going is not None
    shown = msgspec.to_builtins(document(kind, going, region="eu-1"))
    assert shown["metadata"]["deletedAt"] == "2026-01-01T12:00:02Z"
    assert shown["status"]["state"] == "deleting"


@each(EVERY)
def test_a_kinds_parents_are_the_ids_around_it(kind: Kind) -> None:
    above = [each.kind for each in parents(kind.ref(IDS, "one"))]
    assert above == [] if kind.offered else above == list(kind.scope)
    for parent in above:
        assert kind in children(KINDS[parent])


def test_the_shared_catalogue_lies_in_the_shared_tenant() -> None:
    sku = KINDS["instance-sku"].ref({"tenant": SHARED_TENANT}, "seca.ds")
    assert sku == Ref("instance-sku", "tenants/seca/skus/seca.ds")


# --- its spec


@each(EVERY)
def test_the_smallest_and_the_fullest_spec_are_read_verbatim(kind: Kind) -> None:
    for spec in (SPECS[kind.name], Schema(kind.spec).whole()):
        read = plain(BODIES.read(kind, {"spec": spec}).spec)
        assert with_defaults(kind, spec) == read


@pytest.mark.parametrize(("kind", "edge"), EDGES, ids=named)
def test_a_limit_is_kept_at_the_edge_and_broken_beyond(kind: Kind, edge: Edge) -> None:
    read = plain(BODIES.read(kind, {"spec": edge.kept}).spec)
    assert read == with_defaults(kind, edge.kept)
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": edge.broken})
    assert {source.pointer for source in raised.value.sources} == {f"/spec{edge.pointer}"}


def test_there_are_limits_to_be_kept() -> None:
    assert {kind.name for kind, _ in EDGES} == set(KINDS) - {"workspace"}


@each([kind for kind in EVERY if not kind.spec_optional])
def test_a_field_that_must_be_there_must_be_there(kind: Kind) -> None:
    whole = Schema(kind.spec).whole()
    for field in Schema(kind.spec).required():
        with pytest.raises(Invalid) as raised:
            BODIES.read(kind, {"spec": {k: v for k, v in whole.items() if k != field}})
        assert [source.pointer for source in raised.value.sources] == [f"/spec/{field}"]


@each([kind for kind in EVERY if not kind.spec_optional])
def test_a_field_that_is_not_known_is_refused(kind: Kind) -> None:
    with pytest.raises(Invalid) as raised:
        BODIES.read(kind, {"spec": SPECS[kind.name] | {"notKnown": None}})
    assert [source.pointer for source in raised.value.sources] == ["/spec/notKnown"]


@each(EVERY)
def test_what_is_immutable_or_secret_is_in_the_schema(kind: Kind) -> None:
    schema, whole = Schema(kind.spec), Schema(kind.spec).whole()
    assert all(schema.has(pointer) for pointer in (*kind.immutable, *kind.secret))
    assert all(isinstance(at(whole, pointer), str) for pointer in kind.secret)


def plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def with_defaults(kind: Kind, spec: Json) -> Json:
    """Only these are filled in: see CONTRACT, Answers."""
    if kind.name != "instance":
        return spec
    volumes = {field: spec[field] for field in ("bootVolume", "dataVolumes") if field in spec}
    return spec | {
        field: [{"type": "virtio"} | one for one in value]
        if isinstance(value, list)
        else {"type": "virtio"} | value
        for field, value in volumes.items()
    }


# --- its status


@each(WRITABLE)
def test_what_a_status_must_hold_it_holds_from_the_first_answer_on(kind: Kind) -> None:
    shown = msgspec.to_builtins(document(kind, made(kind), region="eu-1"))
    own = {k: v for k, v in shown["status"].items() if k not in ("state", "conditions")}
    msgspec.convert(own, kind.status)
    assert set(own) == set(Schema(kind.status).required())


@each([kind for kind in EVERY if kind.offered])
def test_what_is_on_offer_has_no_status(kind: Kind) -> None:
    assert set(document(kind, made(kind), region="eu-1")) == {"metadata", "spec"}


@each(WRITABLE)
def test_what_is_found_is_shown_over_what_is_known_at_first(kind: Kind) -> None:
    status = Schema(kind.status).whole()
    resource = fold(
        history(
            kind.ref(IDS, "one"),
            Created(spec=SPECS[kind.name]),
            found(State.ACTIVE, seen=1, **status),
        )
    )
    assert resource is not None
    shown = document(kind, resource, region="eu-1")["status"]
    assert {field: shown[field] for field in status} == status
    assert told(resource) == ["active", "creating", "pending"]


# --- its routes, and the document that describes them

Route = tuple[str, str]


def routed() -> set[Route]:
    """(path, method) of every route of both sides; none of them is called."""
    writer, reader = cast(Any, None), cast(Any, None)
    handlers = [*command.http.routes(writer), *query.http.routes(reader)]
    return {
        (re.sub(r":str}", "}", path), str(method))
        for handler in handlers
        for path in handler.paths
        for method in handler.http_methods
        if method not in ("HEAD", "OPTIONS")
    }


DOCUMENT = openapi.document(KINDS.values(), "https://example.org")


def described() -> set[Route]:
    return {(path, method.upper()) for path, item in DOCUMENT["paths"].items() for method in item}


def test_every_route_is_described_and_nothing_else() -> None:
    assert described() == routed()


@each(EVERY)
def test_a_kind_has_the_routes_that_its_row_says(kind: Kind) -> None:
    item = f"{kind.url}/{{name}}"
    wanted = {(kind.url, "GET"), (item, "GET")}
    if kind.writable:
        wanted.add((item, "PUT"))
        wanted |= {(item, "DELETE")} if kind.deletable else set()
        wanted |= {(f"{item}/{action}", "POST") for action in kind.actions}
    assert {route for route in routed() if route[0].startswith(kind.url)} == wanted


def test_no_two_operations_share_an_id() -> None:
    operations = [op for item in DOCUMENT["paths"].values() for op in item.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    text = msgspec.json.encode(DOCUMENT).decode()
    wanted = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))
    assert wanted <= set(DOCUMENT["components"]["schemas"])


def test_every_id_in_a_path_is_a_parameter() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in item.values():
            named_there = [p["name"] for p in operation["parameters"] if p["in"] == "path"]
            assert named_there == re.findall(r"{(\w+)}", path)


def test_the_document_is_the_same_every_time() -> None:
    again = openapi.document(KINDS.values(), "https://example.org")
    assert msgspec.json.encode(again) == msgspec.json.encode(DOCUMENT)
