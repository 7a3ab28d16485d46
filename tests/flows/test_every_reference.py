"""Every reference of every kind: to a missing resource, in every spelling, and to a resource that
the caller may not read.

A reference that is resolved creates a resource (201), which is deleted at once: what is being
deleted uses nothing.
"""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.model.kind import Backing, Kind, Link
from secaplane.model.pointer import every
from secaplane.model.shape import Json, Ref
from tests.flows.client import Answer, Client, client_of
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.planning import (
    BASE,
    IDS,
    REGION,
    TENANT_KINDS,
    linked_pointers,
    linked_target,
    lists_names,
    reference_to,
    replaced,
    sensible,
    url,
)
from tests.flows.problems import refused

LINKED = [kind for kind in TENANT_KINDS if kind.links]
each = pytest.mark.parametrize("kind", LINKED, ids=lambda kind: kind.name)
RESOLVED, NOT_FOUND = 201, 422
SPELLINGS_EACH = 9
"""Of one reference over HTTP; tests/rules/test_references.py has all of them."""
_numbers = count(1)


@pytest.fixture
async def client(peopled: DevDetails) -> AsyncIterator[Client]:
    async with client_of(peopled.url, peopled.token) as caller:
        yield caller


async def put_reference(client: Client, kind: Kind, pointer: str, reference: object) -> Answer:
    """PUT a valid spec with one reference replaced."""
    return await put_once(client, kind, replaced(sensible(kind, whole=True), pointer, reference))


async def put_once(client: Client, kind: Kind, spec: Json) -> Answer:
    """PUT a new resource; one that is created is deleted again."""
    path = url(kind.ref(IDS, f"asked{next(_numbers)}"))
    answer = await client.put(path, {"spec": spec})
    if answer.status == RESOLVED:
        assert (await client.delete(path)).status == 202
    return answer


def places(kind: Kind) -> list[tuple[str, tuple[Link, ...]]]:
    return list(linked_pointers(kind, sensible(kind, whole=True)))


# --- to a missing resource


def absent(kind: str, number: int = 0) -> Ref:
    """The address of a resource that does not exist."""
    return KINDS[kind].ref(IDS, f"absent{number}")


@each
async def test_a_strict_reference_to_a_missing_resource_is_refused(
    client: Client, kind: Kind
) -> None:
    for pointer, links in places(kind):
        for link in links:
            for name in link.to:
                answer = await put_reference(
                    client, kind, pointer, reference_to(kind, absent(name))
                )
                if link.strict:
                    assert refused(answer, NOT_FOUND) == [(f"/spec{pointer}", "")]
                    assert name in answer.json["detail"]
                else:
                    assert answer.status == RESOLVED


@each
async def test_all_missing_references_are_named_at_once(client: Client, kind: Kind) -> None:
    spec, expected = sensible(kind, whole=True), []
    for n, (pointer, links) in enumerate(places(kind)):
        if links[0].strict:
            spec = replaced(spec, pointer, reference_to(kind, absent(links[0].to[0], n)))
            expected.append((f"/spec{pointer}", ""))
    answer = await put_once(client, kind, spec)
    if expected:
        assert sorted(refused(answer, NOT_FOUND)) == sorted(expected)
    else:
        assert answer.status == RESOLVED


@each
async def test_a_reference_to_elsewhere_or_malformed_is_refused(client: Client, kind: Kind) -> None:
    """Only strict references: a deferred one may be malformed, as its target may appear later."""
    for pointer, links in places(kind):
        if all(link.strict for link in links) and not lists_names(kind):
            existing = linked_target(links[0])
            for reference in nonsense(existing):
                answer = await put_reference(client, kind, pointer, reference)
                assert refused(answer, NOT_FOUND) == [(f"/spec{pointer}", "")], reference


def nonsense(existing: Ref) -> Iterator[Json]:
    """References that almost name an existing resource, but do not."""
    urn = KINDS[existing.kind].urn(existing)
    yield {"resource": urn, "region": "eu-9"}
    yield {"resource": urn, "tenant": "other"}
    yield {"resource": urn, "provider": "seca.nope"}
    yield {"resource": urn.replace("/tenants/", "9/tenants/")}
    yield {"resource": urn.replace("/demo/", "/foreign/")}
    for wrong in (
        f"/{urn}",
        f"{urn}/",
        f"x/{urn}",
        f"nonsense/{existing.name}",
        "*",
        "a b",
        "\u00e9",
    ):
        yield {"resource": wrong}


# --- every spelling


@each
async def test_every_spelling_of_a_reference_is_resolved(client: Client, kind: Kind) -> None:
    for pointer, links in places(kind):
        existing = linked_target(links[0])
        spelled = [existing.name] if lists_names(kind) else spellings(kind, existing)
        for reference in spelled[:: max(1, len(spelled) // SPELLINGS_EACH)]:
            answer = await put_reference(client, kind, pointer, reference)
            assert answer.status == RESOLVED, (reference, answer)


def spellings(referrer: Kind, existing: Ref) -> list[object]:
    """All suffixes of the URN that omit only parts known from the referrer or other fields."""
    kind = KINDS[existing.kind]
    suffixes = list(_suffixes(kind, existing, known=set(referrer.scope)))
    if kind.backing is Backing.CATALOGUE:
        shared = Ref(existing.kind, existing.path.replace("/demo/", f"/{SHARED_TENANT}/"))
        suffixes += _suffixes(kind, shared, known=set())
    names = (kind.provider.name, kind.provider.full_name)
    provider: list[Json] = [{}, *({"provider": name} for name in names)]
    spelled: list[object] = [{"resource": s, **fields} for s in suffixes for fields in provider]
    spelled += [{"resource": s, "region": REGION} for s in suffixes]
    fields = {"tenant": "demo", "workspace": BASE}
    with_fields = _suffixes(kind, existing, known=set(referrer.scope) | {"tenant", "workspace"})
    spelled += [{"resource": suffix, **fields} for suffix in with_fields]
    empty = dict.fromkeys(("provider", "tenant", "workspace", "region"), "")
    return [*spelled, {"resource": suffixes[0], **empty}]


def _suffixes(kind: Kind, existing: Ref, *, known: set[str]) -> Iterator[str]:
    pattern = f"{kind.provider.name}/{kind.provider.version}/{kind.collection}/{{name}}".split("/")
    steps = kind.urn(existing).split("/")
    for n in range(len(steps)):
        left_out = {each[1:-1] for each in pattern[:n] if each.startswith("{")}
        if left_out <= known:
            yield "/".join(steps[n:])
            if n < len(steps) - 1:
                yield "/".join([*steps[n:-2], f"{kind.name}s", steps[-1]])
    yield "/".join([steps[0], *steps[2:]])


# --- to a resource that the caller may not read


@each
async def test_a_reference_to_a_resource_that_the_caller_may_not_read_is_refused(
    client: Client, plane: DevProcess, kind: Kind
) -> None:
    """The caller may write this kind and read the catalogue, and nothing else."""
    role = {"provider": kind.provider.name, "resources": [f"{kind.resource(url_of(kind))}/*"]}
    await grant(client, f"only-{kind.name}", role | {"verb": ["get", "list", "put"]})
    caller, own_tenant = client.by(plane.token(f"only-{kind.name}")), Ref("tenant", "tenants/demo")
    for pointer, links in places(kind):
        existing = linked_target(links[0])
        if (
            links[0].strict
            and KINDS[existing.kind].backing is not Backing.CATALOGUE
            and existing != own_tenant
        ):
            answer = await put_reference(caller, kind, pointer, reference_to(kind, existing))
            hidden = [(f"/spec{pointer}", "")]
            assert set(hidden) <= set(refused(answer, NOT_FOUND))


def url_of(kind: Kind) -> str:
    return kind.collection.format_map(IDS)


async def grant(client: Client, name: str, permission: Json) -> None:
    """Create a role and assign it to a caller of the same name."""
    role, assignment = (KINDS[each].ref(IDS, name) for each in ("role", "role-assignment"))
    await client.made(url(role), {"spec": {"permissions": [permission]}})
    assignment_spec = {"subs": [name], "roles": [name], "scopes": [{}]}
    await client.made(url(assignment), {"spec": assignment_spec})


async def test_a_field_that_lists_names_accepts_no_paths(client: Client) -> None:
    """Fields of the standard that list names refuse paths and malformed names."""
    kind = KINDS["role-assignment"]
    for pointer in ("/roles/0", "/scopes/0/tenants/0", "/scopes/0/regions/0"):
        ((_, name),) = every(sensible(kind, whole=True), pointer.replace("/0", "/*"))
        for wrong in (f"{pointer.split('/')[-2]}/{name}", f"tenants/demo/roles/{name}", "a b"):
            answer = await put_reference(client, kind, pointer, wrong)
            assert refused(answer, NOT_FOUND) == [(f"/spec{pointer}", "")], wrong
