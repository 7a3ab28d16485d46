"""Every reference of every kind: to nothing, to something however it is spelled, to what is not the
caller's.

A spelling is tried with a condition that cannot hold: rules are judged first, so 412 says that the
reference was understood, and nothing is made.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from secaplane.kinds import KINDS, SHARED_TENANT
from secaplane.model.kind import Kind, Link
from secaplane.model.pointer import every
from secaplane.model.shape import Json, Ref
from tests.flows.client import Answer, Client, client_of
from tests.flows.dev_plane import DevDetails, DevProcess
from tests.flows.planning import (
    BASE,
    IDS,
    INHABITED,
    REGION,
    lists_names,
    pointed,
    replaced,
    said,
    sensible,
    target,
    url,
)
from tests.flows.problems import refused

LINKED = [kind for kind in INHABITED if kind.links]
each = pytest.mark.parametrize("kind", LINKED, ids=lambda kind: kind.name)
NEVER = {"if-unmodified-since": "999"}
UNDERSTOOD, NOTHING_THERE = 412, 422


@pytest.fixture
async def client(peopled: DevDetails) -> AsyncIterator[Client]:
    async with client_of(peopled.url, peopled.token) as caller:
        yield caller


async def asked(client: Client, kind: Kind, pointer: str, reference: object) -> Answer:
    """What becomes of a spec that is sensible but for one reference."""
    spec = replaced(sensible(kind, whole=True), pointer, reference)
    return await client.put(url(kind.ref(IDS, "asked")), {"spec": spec}, **NEVER)


def places(kind: Kind) -> list[tuple[str, tuple[Link, ...]]]:
    return list(pointed(kind, sensible(kind, whole=True)))


# --- to nothing


def absent(kind: str) -> Ref:
    """Where such a thing could be."""
    return KINDS[kind].ref(IDS, "absent")


@each
async def test_what_must_be_there_must_be_there(client: Client, kind: Kind) -> None:
    for pointer, links in places(kind):
        for link in links:
            for name in link.to:
                answer = await asked(client, kind, pointer, said(kind, absent(name)))
                if link.strict:
                    assert refused(answer, NOTHING_THERE) == [(f"/spec{pointer}", "")]
                    assert name in answer.json["detail"]
                else:
                    refused(answer, UNDERSTOOD)


@each
async def test_all_that_is_not_there_is_named_at_once(client: Client, kind: Kind) -> None:
    spec, wanted = sensible(kind, whole=True), []
    for pointer, links in places(kind):
        if links[0].strict:
            spec = replaced(spec, pointer, said(kind, absent(links[0].to[0])))
            wanted.append((f"/spec{pointer}", ""))
    answer = await client.put(url(kind.ref(IDS, "asked")), {"spec": spec}, **NEVER)
    assert sorted(refused(answer, NOTHING_THERE if wanted else UNDERSTOOD)) in (
        sorted(wanted),
        [("", "if-unmodified-since")],
    )


@each
async def test_what_is_elsewhere_or_nonsense_is_not_there(client: Client, kind: Kind) -> None:
    """But where something may come later, nonsense may, too."""
    for pointer, links in places(kind):
        if all(link.strict for link in links) and not lists_names(kind):
            there = target(links[0].to[0])
            for reference in nonsense(there):
                answer = await asked(client, kind, pointer, reference)
                assert refused(answer, NOTHING_THERE) == [(f"/spec{pointer}", "")], reference


def nonsense(there: Ref) -> Iterator[Json]:
    """What could be mistaken for a reference to something that is there."""
    urn = KINDS[there.kind].urn(there)
    yield {"resource": urn, "region": "eu-9"}
    yield {"resource": urn, "tenant": "other"}
    yield {"resource": urn, "provider": "seca.nope"}
    yield {"resource": urn.replace("/tenants/", "9/tenants/")}
    yield {"resource": urn.replace("/demo/", "/nobody/")}
    for wrong in (f"/{urn}", f"{urn}/", f"x/{urn}", f"nonsense/{there.name}", "*", "a b", "\u00e9"):
        yield {"resource": wrong}


# --- to something, however it is spelled


@each
async def test_every_spelling_of_a_reference_is_understood(client: Client, kind: Kind) -> None:
    for pointer, links in places(kind):
        there = target(links[0].to[0])
        spelled = [there.name] if lists_names(kind) else spellings(kind, there)
        answers = await asyncio.gather(
            *(asked(client, kind, pointer, reference) for reference in spelled)
        )
        for answer, reference in zip(answers, spelled, strict=True):
            assert answer.status == UNDERSTOOD, (reference, answer)


def spellings(home: Kind, there: Ref) -> list[object]:
    """All suffixes of the URN that leave out only what the home, or the other fields, say."""
    kind = KINDS[there.kind]
    found = list(_suffixes(kind, there, known=set(home.scope)))
    if kind.from_catalogue:
        shared = Ref(there.kind, there.path.replace("/demo/", f"/{SHARED_TENANT}/"))
        found += _suffixes(kind, shared, known=set())
    names = (kind.provider.name, kind.provider.joined)
    provider: list[Json] = [{}, *({"provider": name} for name in names)]
    spelled: list[object] = [{"resource": s, **fields} for s in found for fields in provider]
    spelled += [{"resource": s, "region": REGION} for s in found]
    fields = {"tenant": "demo", "workspace": BASE}
    with_fields = _suffixes(kind, there, known=set(home.scope) | {"tenant", "workspace"})
    spelled += [{"resource": suffix, **fields} for suffix in with_fields]
    empty = dict.fromkeys(("provider", "tenant", "workspace", "region"), "")
    return [*spelled, {"resource": found[0], **empty}]


def _suffixes(kind: Kind, there: Ref, *, known: set[str]) -> Iterator[str]:
    places = f"{kind.provider.name}/{kind.provider.version}/{kind.collection}/{{name}}".split("/")
    steps = kind.urn(there).split("/")
    for n in range(len(steps)):
        left_out = {each[1:-1] for each in places[:n] if each.startswith("{")}
        if left_out <= known:
            yield "/".join(steps[n:])
            if n < len(steps) - 1:
                yield "/".join([*steps[n:-2], f"{kind.name}s", steps[-1]])
    yield "/".join([steps[0], *steps[2:]])


# --- of another


@each
async def test_what_the_caller_may_not_get_is_not_there(
    client: Client, plane: DevProcess, kind: Kind
) -> None:
    """Somebody who may write this kind, and see the catalogue, and nothing else."""
    role = {"provider": kind.provider.name, "resources": [f"{kind.resource(url_of(kind))}/*"]}
    await grant(client, f"only-{kind.name}", role | {"verb": ["get", "list", "put"]})
    somebody, mine = client.by(plane.token(f"only-{kind.name}")), Ref("tenant", "tenants/demo")
    for pointer, links in places(kind):
        there = target(links[0].to[0])
        if links[0].strict and not KINDS[there.kind].from_catalogue and there != mine:
            answer = await asked(somebody, kind, pointer, said(kind, there))
            hidden = [(f"/spec{pointer}", "")]
            assert set(hidden) <= set(refused(answer, NOTHING_THERE))


def url_of(kind: Kind) -> str:
    return kind.collection.format_map(IDS)


async def grant(client: Client, name: str, permission: Json) -> None:
    """A role, and that somebody of the same name has it."""
    role, assignment = (KINDS[each].ref(IDS, name) for each in ("role", "role-assignment"))
    await client.made(url(role), {"spec": {"permissions": [permission]}})
    held = {"subs": [name], "roles": [name], "scopes": [{}]}
    await client.made(url(assignment), {"spec": held})


async def test_a_name_that_could_be_a_path_is_only_a_name(client: Client) -> None:
    """Where the standard lists names, nothing else means anything."""
    kind = KINDS["role-assignment"]
    for pointer in ("/roles/0", "/scopes/0/tenants/0", "/scopes/0/regions/0"):
        ((_, name),) = every(sensible(kind, whole=True), pointer.replace("/0", "/*"))
        for wrong in (f"{pointer.split('/')[-2]}/{name}", f"tenants/demo/roles/{name}", "a b"):
            answer = await asked(client, kind, pointer, wrong)
            assert refused(answer, NOTHING_THERE) == [(f"/spec{pointer}", "")], wrong
