"""The life cycle of every kind: create, read, list, update, delete, create again.

The tests are derived from the catalogue of kinds and name one only where the standard makes an
exception; references are tested in `test_every_reference`.
"""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from secaplane.kinds import KINDS, children, parents
from secaplane.model.kind import Kind
from secaplane.model.pointer import every
from secaplane.model.shape import Json, Ref
from tests.flows.client import Answer, Client, client_of
from tests.flows.dev_plane import DevDetails
from tests.flows.planning import (
    IDS,
    REGION,
    TENANT_KINDS,
    WRITABLE,
    body,
    reference_to,
    replaced,
    sensible,
    url,
)
from tests.flows.problems import refused
from tests.kinds.metadata import CLASSES
from tests.kinds.schemas import Schema

MADE = ["active", "creating", "pending"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
ONLY, TRUE = "application/json; deleted=only", "application/json; deleted=true"
SINCE = "if-unmodified-since"
ANNOTATIONS = {"note": 'a "quoted"\nline \u2028', "empty": ""}
DELETABLE = [kind for kind in WRITABLE if kind.exposure.deletable]


def each(kinds: list[Kind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.name)


@pytest.fixture
async def client(peopled: DevDetails, kind: Kind) -> AsyncIterator[Client]:
    """A caller that may create this kind: the tenant's administrator or the operator."""
    token = peopled.token if kind.scope else peopled.operator_token
    async with client_of(peopled.url, token) as caller:
        yield caller


def place(kind: Kind, name: str) -> Ref:
    return kind.ref(IDS, name)


def collection(kind: Kind) -> str:
    return url(place(kind, "-")).rpartition("/")[0]


# --- create and read


@each(WRITABLE)
async def test_a_created_resource_is_returned_as_it_was_sent(
    client: Client, peopled: DevDetails, kind: Kind
) -> None:
    ref = place(kind, "whole")
    sent = sensible(kind, whole=True)
    parts: Json = {"labels": {"walk": "whole", "b": ""}, "annotations": ANNOTATIONS}
    made = await client.put(url(ref), {"spec": sent} | parts)
    assert made.status == 201, made
    assert made.headers["Location"] == peopled.url + url(ref)
    assert made.headers["Content-Type"] == "application/json"
    assert made.history == ["pending"]
    active = await client.active(url(ref))
    assert active.history == MADE
    for answer, verb in ((made, "PUT"), (active, "GET")):
        shown = answer.json
        assert set(shown) == {"labels", "annotations", "metadata", "spec", "status"}
        assert {part: shown[part] for part in parts} == parts
        assert shown["spec"] == Schema(kind.spec).completed(sent)
        assert_named(shown["metadata"], ref, verb=verb, version=1)
    times = [each["lastTransitionAt"] for each in active.json["status"]["conditions"]]
    assert times == sorted(times, key=datetime.fromisoformat, reverse=True)
    assert all(TIME.fullmatch(time) for time in times)
    unchanged = await client.get(url(ref), If_None_Match=active.headers["ETag"])
    assert (unchanged.status, unchanged.body) == (304, b"")
    if kind.exclusive_links:  # other tests need what belongs to it alone
        assert (await client.delete(url(ref))).status == 202


def assert_named(metadata: Json, ref: Ref, *, verb: str, version: int) -> None:
    """The metadata has exactly the fields of the kind's class, with the values of the contract."""
    kind = KINDS[ref.kind]
    assert set(metadata) == CLASSES[kind.name]
    relative_path = re.sub("^(tenants/demo/)?(workspaces/base/)?", "", ref.path)
    expected = {
        "name": ref.name,
        "provider": kind.provider.full_name,
        "resource": relative_path if kind.name != "workspace" else f"workspaces/{ref.name}",
        "verb": verb,
        "apiVersion": kind.provider.version,
        "kind": kind.name,
        "ref": f"{kind.provider.full_name}/{ref.path}",
        "resourceVersion": version,
        "region": REGION,
        **IDS,
    }
    times_of = {"createdAt", "lastModifiedAt"}
    assert {field: metadata[field] for field in set(metadata) - times_of} == {
        field: expected[field] for field in set(metadata) - times_of
    }
    assert all(TIME.fullmatch(metadata[field]) for field in times_of)


@each(WRITABLE)
async def test_a_created_resource_is_listed(client: Client, kind: Kind) -> None:
    label = {"walk": f"listed-{kind.name}"}
    names = ["list-1", "list-2", "list-3"]
    for name in names:
        await client.made(url(place(kind, name)), body(kind, labels=label))
    chosen = f"{collection(kind)}?labels=walk=listed-{kind.name}"
    listed = await client.get(chosen)
    assert listed.names == names
    assert listed.json["items"] == [(await client.get(url(place(kind, n)))).json for n in names]
    relative_path = re.sub("^/(tenants/demo/?)?(workspaces/base/)?", "", collection_path(kind))
    assert listed.json["metadata"] == {
        "provider": kind.provider.full_name,
        "resource": relative_path,
        "verb": "GET",
    }
    assert set(names) <= set((await client.get(collection(kind))).names)
    assert await paged(client, chosen) == names
    assert set(names) <= set(await paged(client, f"{collection(kind)}?"))


def collection_path(kind: Kind) -> str:
    return f"/{place(kind, '-').collection}"


async def paged(client: Client, url: str) -> list[str]:
    """The names on all pages of one item each."""
    names, token = list[str](), ""
    while True:
        page = await client.get(f"{url}&limit=1{token}")
        assert len(page.names) <= 1, page
        names += page.names
        skip_token = page.json["metadata"].get("skipToken")
        if skip_token is None:
            return names
        token = f"&skipToken={skip_token}"


# --- update


@each(WRITABLE)
async def test_an_update_is_shown_in_the_history(client: Client, kind: Kind) -> None:
    at = url(place(kind, "changed"))
    alone = not kind.exclusive_links  # else another test's resource has its volumes
    first = await client.made(at, {"spec": sensible(kind, whole=alone), "labels": {"a": "b"}})
    changed = await client.put(at, body(kind))
    assert changed.status == 200, changed
    assert "Location" not in changed.headers
    assert "labels" not in changed.json
    assert changed.json["spec"] == Schema(kind.spec).completed(sensible(kind))
    assert changed.json["metadata"]["resourceVersion"] == 2
    found = await settled(client, at, entries=5)
    assert found.history == ["active", "updating", *MADE]
    metadata, before = found.json["metadata"], first.json["metadata"]
    assert_named(metadata, place(kind, "changed"), verb="GET", version=2)
    assert metadata["createdAt"] == before["createdAt"]
    assert metadata["lastModifiedAt"] > before["lastModifiedAt"]
    again = await client.get(at, If_None_Match=first.headers["ETag"])
    assert again.status == 200


async def settled(client: Client, at: str, *, entries: int) -> Answer:
    return await client.until(
        at, lambda answer: answer.state == "active" and len(answer.history) == entries
    )


@each(WRITABLE)
async def test_a_precondition_of_the_caller_is_checked(client: Client, kind: Kind) -> None:
    at = url(place(kind, "conditional"))
    assert (await client.put(at, body(kind), **{SINCE: "1"})).status == 412
    assert (await client.put(at, body(kind), **{SINCE: "0"})).status == 201
    assert (await client.put(at, body(kind), **{SINCE: "0"})).status == 412
    right = await client.put(at, body(kind), **{SINCE: "1"})
    assert (right.status, right.json["metadata"]["resourceVersion"]) == (200, 2)
    wrong = await client.put(at, body(kind), **{SINCE: "1"})
    assert refused(wrong, 412) == [("", SINCE)]
    if kind.exposure.deletable:
        assert refused(await client.delete(at, **{SINCE: "1"}), 412) == [("", SINCE)]
        assert (await client.delete(at, **{SINCE: "2"})).status == 202


@each(WRITABLE)
async def test_a_body_from_the_sdk_is_accepted(client: Client, kind: Kind) -> None:
    """The SDK also sends metadata and status, mostly with empty values (SECA: the conformance
    runner and the Go SDK)."""
    ref = place(kind, "sdk")
    sent = body(kind, labels={}, annotations={}, metadata=sdk_metadata(ref))
    sent |= {"status": {"conditions": None, "state": "", "powerState": "", "sizeGB": 0}}
    assert (await client.put(url(ref), sent)).status == 201
    found = await client.active(url(ref))
    assert found.history == MADE
    assert_named(found.json["metadata"], ref, verb="GET", version=1)
    assert references(kind, found.json["spec"]) == references(kind, sent["spec"])
    read: Json = found.json
    assert (await client.put(url(ref), read)).json["metadata"]["resourceVersion"] == 2
    after = await settled(client, url(ref), entries=5)
    parts = ("labels", "annotations", "spec")
    assert {part: after.json[part] for part in parts} == {part: read[part] for part in parts}


def sdk_metadata(ref: Ref) -> Json:
    kind, zero_time = KINDS[ref.kind], "0001-01-01T00:00:00Z"
    times = dict.fromkeys(("createdAt", "lastModifiedAt", "deletedAt"), zero_time)
    scopes = {field: IDS[field] for field in kind.scope if field in ("tenant", "workspace")}
    named = {
        "name": ref.name,
        "provider": kind.provider.full_name,
        "resource": "",
        "verb": "put",
    }
    version = {"apiVersion": kind.provider.version, "kind": kind.name, "resourceVersion": 0}
    region = {"region": REGION} if kind.provider.regional else {}
    return named | times | version | scopes | region | {"ref": ""}


def references(kind: Kind, spec: Json) -> list[Any]:
    return [value for link in kind.links for _, value in every(spec, link.at)]


# --- delete and create again


@each(DELETABLE)
async def test_a_name_can_be_created_again_after_its_deletion(client: Client, kind: Kind) -> None:
    at = url(place(kind, "reborn"))
    await client.made(at, body(kind))
    deleted = await client.delete(at)
    assert (deleted.status, deleted.body) == (202, b"")
    again = await client.delete(at)
    assert again.status in (202, 404), "terminating, or already gone"
    await client.gone(at)
    assert "reborn" not in (await client.get(collection(kind))).names
    assert refused(await client.delete(at), 404) == []
    assert await lives(client, kind, ONLY) == [2]
    reborn = await client.put(at, body(kind))
    assert (reborn.status, reborn.json["metadata"]["resourceVersion"]) == (201, 3)
    assert (await client.active(at)).history == MADE
    assert (await lives(client, kind, ONLY), await lives(client, kind, TRUE)) == ([2], [2, 3])
    await client.delete(at)
    await client.gone(at)
    assert await lives(client, kind, ONLY) == [2, 4]


async def lives(client: Client, kind: Kind, accept: str) -> list[int]:
    """The last version of each life of one name."""
    listed = await client.get(collection(kind), Accept=accept)
    items = [item["metadata"] for item in listed.json["items"]]
    matching = [item for item in items if item["name"] == "reborn"]
    assert accept == TRUE or all(TIME.fullmatch(item["deletedAt"]) for item in matching)
    return [item["resourceVersion"] for item in matching]


# --- parents and children


@each([kind for kind in TENANT_KINDS if len(kind.scope) > 1])
async def test_a_resource_cannot_be_created_in_a_missing_parent(client: Client, kind: Kind) -> None:
    for absent in kind.scope[1:]:
        nowhere = kind.ref(IDS | {absent: "nowhere"}, "one")
        answer = await client.put(url(nowhere), body(kind))
        assert refused(answer, 404) == []
        assert "nowhere not found" in answer.json["detail"]
        listed = await client.get(url(nowhere).rpartition("/")[0])
        assert (listed.status, listed.names) == (200, [])


@each([kind for kind in TENANT_KINDS if len(kind.scope) > 1])
async def test_a_parent_with_a_child_cannot_be_deleted(client: Client, kind: Kind) -> None:
    """The refusal names the child; once that is terminating, the parent can be deleted."""
    inner = kind.scope[-1]
    ref = kind.ref(IDS | {inner: f"home-{kind.name}"}, "child")
    home = parents(ref)[-1]
    await client.made(url(home), body(KINDS[home.kind]))
    await client.made(url(ref), body(kind))
    refusal = await client.delete(url(home))
    assert refused(refusal, 409) == []
    assert refusal.json["meta"] == {"blockers": [kind.urn(ref)], "count": 1}
    assert (await client.get(url(home))).state == "active"
    assert (await client.delete(url(ref))).status == 202
    assert (await client.delete(url(home))).status == 202
    await client.gone(url(home))
    assert (await client.get(url(ref))).status == 404


@each([kind for kind in TENANT_KINDS if any(link.blocks_deletion for link in kind.links)])
async def test_a_resource_in_use_cannot_be_deleted(client: Client, kind: Kind) -> None:
    """For example a volume that an instance uses."""
    spec, used = sensible(kind, whole=True), list[Ref]()
    for n, link in enumerate(kind.links):
        for pointer, _ in every(spec, link.at) if link.blocks_deletion else ():
            used.append(place(KINDS[link.to[0]], f"held-{kind.name}-{n}"))
            spec = replaced(spec, pointer, reference_to(kind, used[-1]))
    for ref in used:
        await client.made(url(ref), body(KINDS[ref.kind]))
    holder = place(kind, "holder")
    await client.made(url(holder), {"spec": spec})
    for ref in used:
        refusal = await client.delete(url(ref))
        assert refused(refusal, 409) == []
        assert refusal.json["meta"] == {"blockers": [kind.urn(holder)], "count": 1}
    for ref in (holder, *used):
        assert (await client.delete(url(ref))).status == 202
    for ref in (holder, *used):
        await client.gone(url(ref))


@each([kind for kind in WRITABLE if kind.exposure.former_collections])
async def test_an_alternative_path_leads_to_the_same_resource(client: Client, kind: Kind) -> None:
    """Provided that every parent in the alternative path exists."""
    ref = place(kind, "former")
    for url_ in kind.urls[1:]:
        former = f"{url_.format_map(IDS)}/{ref.name}"
        made = await client.put(former, body(kind))
        assert made.status in (200, 201)
        assert_named(made.json["metadata"], ref, verb="PUT", version=1)
        found = await client.active(url(ref))
        assert (await client.get(former)).json == found.json
        nowhere = url_.format_map(IDS | {"workspace": "nowhere"})
        assert refused(await client.put(f"{nowhere}/{ref.name}", body(kind)), 404) == []
        assert (await client.delete(former)).status == 202
        await client.gone(url(ref))


# --- zones and regions


@each([kind for kind in WRITABLE if kind.rules.zones])
async def test_a_zone_that_the_region_does_not_have_is_refused(client: Client, kind: Kind) -> None:
    for pointer in kind.rules.zones:
        spec = replaced(sensible(kind), pointer, "nowhere")
        answer = await client.put(url(place(kind, "zoned")), {"spec": spec})
        assert refused(answer, 422) == [(f"/spec{pointer}", "")]


@each(WRITABLE)
async def test_another_region_is_refused_for_regional_kinds(client: Client, kind: Kind) -> None:
    at = url(place(kind, "abroad"))
    answer = await client.put(at, body(kind, metadata={"region": "eu-9"}))
    if kind.provider.regional:
        assert refused(answer, 422) == [("/metadata/region", "")]
        assert (await client.get(at)).status == 404
    else:
        assert answer.status == 201
    assert (await client.put(at, body(kind, metadata={"region": ""}))).status in (200, 201)


def test_every_writable_kind_is_tested() -> None:
    operators = {kind.name for kind in WRITABLE} - {kind.name for kind in TENANT_KINDS}
    assert operators == {"tenant", "revocation"}
    below = {kind.name for parent in WRITABLE for kind in children(parent) if kind.writable}
    assert below <= {kind.name for kind in TENANT_KINDS}
