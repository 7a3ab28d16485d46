"""Valid bodies for every kind and the resources they depend on, derived from the kinds' schemas
with a few hints."""

from collections.abc import Iterator, Mapping
from typing import Any

from secaplane.kinds import KINDS, parents
from secaplane.model.kind import Kind, Link
from secaplane.model.pointer import every
from secaplane.model.shape import Json, Ref
from secaplane.plugins.simulated.catalogue import STANDARD, read
from tests.flows.client import Client
from tests.kinds.schemas import Schema

BASE = "base"
"""Name of the one resource of each kind that others refer to or are contained in."""
SECOND = "second"
"""Name of a second resource of the kinds that only one field may refer to."""
IDS = {"tenant": "demo", "workspace": BASE, "network": BASE, "cluster": BASE}
CATALOGUE = read(STANDARD)
ZONE, REGION = CATALOGUE.zones[0], "eu-1"
SKUS = {sku.kind: sku.name for sku in reversed(CATALOGUE.skus)}
PREEXISTING = {"tenant": "demo", "region": REGION}
"""Kinds whose resource exists from the start, with its name."""
WRITABLE = [kind for kind in KINDS.values() if kind.writable]
TENANT_KINDS = [kind for kind in WRITABLE if kind.scope]
"""Kinds that a tenant's administrator can create; the others belong to operators."""

ABSENT = object()
HINTS: Mapping[str, Mapping[str, Any]] = {
    "network": {
        "/cidr": {"ipv4": "10.0.0.0/16", "ipv6": "fd00::/56"},
        "/additionalCidrs/0": {"ipv4": "10.1.0.0/16"},
    },
    "subnet": {"/cidr": {"ipv4": "10.0.1.0/24", "ipv6": "fd00::/64"}},
    "nic": {"/addresses": ["0.0.0.0"]},
    "public-ip": {"/address": "192.0.2.7"},
    "revocation": {"/jti": "none-of-ours", "/sub": ABSENT, "/issuedBefore": ABSENT},
    "role": {
        "/permissions/0/provider": "seca.storage/v1",
        "/permissions/0/resources/0": "images/*",
        "/permissions/0/verb/0": "get",
    },
    "security-group": {"/rules/0/protocol": "tcp", "/rules/0/icmp": ABSENT},
    "security-group-rule": {"/protocol": "tcp", "/icmp": ABSENT},
    "tenant": {"/quotas/resources": {"public-ip": 0, "instance/seca.dxs": 0}},
}
"""Values that the schema alone does not give: kind -> pointer below the spec -> value."""
ALWAYS_WHOLE = ("revocation",)
"""Kinds whose smallest spec by the schema would be refused."""


def target(kind: str) -> Ref:
    """The resource that a reference to that kind points to."""
    name = SKUS.get(kind) or PREEXISTING.get(kind) or BASE
    return KINDS[kind].ref(IDS, name)


def sensible(kind: Kind, *, whole: bool = False, links: bool = True) -> Json:
    """A valid spec: the smallest one, or the one with all fields."""
    schema = Schema(kind.spec)
    spec: Json = schema.whole() if whole or kind.name in ALWAYS_WHOLE else schema.smallest()
    for pointer, value in HINTS.get(kind.name, {}).items():
        spec = replaced(spec, pointer, value)
    for pointer in kind.rules.zones:
        spec = replaced(spec, pointer, ZONE)
    for link in reversed(kind.links) if links else ():
        for pointer, _ in every(spec, link.at):
            spec = replaced(spec, pointer, reference_to(kind, linked_target(link)))
    return spec


def linked_target(link: Link) -> Ref:
    """The resource that a reference points to. A data volume is no boot volume besides, so the
    items of an exclusive list have one of their own."""
    kind = KINDS[link.to[0]]
    return kind.ref(IDS, SECOND) if link.excludes and "*" in link.at else target(kind.name)


def reference_to(kind: Kind, ref: Ref) -> str | Json:
    """A reference as the SDK writes it, or the bare name where the spec lists names."""
    return ref.name if lists_names(kind) else {"resource": KINDS[ref.kind].urn(ref)}


def lists_names(kind: Kind) -> bool:
    return kind.name == "role-assignment"


def replaced(value: Any, pointer: str, new: Any) -> Any:
    """A copy with the value at that pointer replaced, or unchanged if the pointer leads nowhere."""
    if not pointer:
        return new
    first, rest = pointer[1:].partition("/")[0], pointer[1:].partition("/")[2]
    rest = f"/{rest}" if rest else ""
    if isinstance(value, list):
        return [replaced(v, rest, new) if str(n) == first else v for n, v in enumerate(value)]
    if not isinstance(value, dict) or first not in value:
        return value
    if new is ABSENT and not rest:
        return {key: each for key, each in value.items() if key != first}
    return value | {first: replaced(value[first], rest, new)}


def body(kind: Kind, **more: Any) -> Json:
    return {"spec": sensible(kind)} | more


def linked_pointers(kind: Kind, spec: Json) -> Iterator[tuple[str, tuple[Link, ...]]]:
    """(pointer below the spec, links of the kind at that place) for each reference of a spec."""
    for pattern in dict.fromkeys(link.at for link in kind.links):
        for pointer, _ in every(spec, pattern):
            yield pointer, tuple(link for link in kind.links if link.at == pattern)


def creation_order() -> list[Kind]:
    """Kinds in an order of creation: each after its parents and the kinds it must refer to."""
    ordered: list[Kind] = []

    def add(kind: Kind) -> None:
        if kind in ordered or not kind.writable or kind.name in PREEXISTING:
            return
        for each in needed(kind):
            add(each)
        ordered.append(kind)

    for kind in TENANT_KINDS:
        add(kind)
    return ordered


def needed(kind: Kind) -> list[Kind]:
    """The kinds of the parents and of the references without which none can be created."""
    containing = [KINDS[parent.kind] for parent in parents(kind.ref(IDS, BASE))]
    linked = [
        KINDS[links[0].to[0]] for _, links in linked_pointers(kind, sensible(kind, links=False))
    ]
    return [each for each in (*containing, *linked) if each is not kind]


async def prepare(client: Client) -> None:
    """Create one resource of each kind, named `base`, each active before the next one needs it."""
    for kind in creation_order():
        await client.made(url(target(kind.name)), body(kind))
    for kind in {KINDS[x.to[0]] for k in TENANT_KINDS for x in k.links if x.excludes}:
        await client.made(url(kind.ref(IDS, SECOND)), body(kind))


def url(ref: Ref) -> str:
    return f"{KINDS[ref.kind].provider.base}/{ref.path}"
