"""Bodies for every kind, and what must be there before: read off the catalogue, nothing by hand but
a few hints."""

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
"""What everything is called that others point to or lie in; one of each kind."""
IDS = {"tenant": "demo", "workspace": BASE, "network": BASE, "cluster": BASE}
OFFER = read(STANDARD)
ZONE, REGION = OFFER.zones[0], "eu-1"
SKUS = {sku.kind: sku.name for sku in reversed(OFFER.skus)}
GIVEN = {"tenant": "demo", "region": REGION}
"""What is there before anybody makes anything."""
WRITABLE = [kind for kind in KINDS.values() if kind.writable]
INHABITED = [kind for kind in WRITABLE if kind.scope]
"""Those that a tenant's administrator can make; the others are the operators'."""

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
    "role": {"/permissions/0/provider": "seca.storage/v1"},
    "security-group": {"/rules/0/protocol": "tcp", "/rules/0/icmp": ABSENT},
    "security-group-rule": {"/protocol": "tcp", "/icmp": ABSENT},
    "tenant": {"/quotas/resources": {"public-ip": 0, "instance/seca.dxs": 0}},
}
"""What a schema alone does not tell: kind -> pointer below the spec -> what stands there."""
ALWAYS_WHOLE = ("revocation",)
"""Kinds whose smallest spec says nothing."""


def target(kind: str) -> Ref:
    """What a reference to that kind points to."""
    name = SKUS.get(kind) or GIVEN.get(kind) or BASE
    return KINDS[kind].ref(IDS, name)


def sensible(kind: Kind, *, whole: bool = False, links: bool = True) -> Json:
    """A spec that breaks no rule: the smallest, or the one with all fields."""
    schema = Schema(kind.spec)
    spec: Json = schema.whole() if whole or kind.name in ALWAYS_WHOLE else schema.smallest()
    for pointer, value in HINTS.get(kind.name, {}).items():
        spec = replaced(spec, pointer, value)
    for pointer in kind.rules.zones:
        spec = replaced(spec, pointer, ZONE)
    for link in reversed(kind.links) if links else ():
        for pointer, _ in every(spec, link.at):
            spec = replaced(spec, pointer, said(kind, target(link.to[0])))
    return spec


def said(kind: Kind, ref: Ref) -> str | Json:
    """A reference as the SDK spells it; or a name, where names are listed."""
    return ref.name if lists_names(kind) else {"resource": KINDS[ref.kind].urn(ref)}


def lists_names(kind: Kind) -> bool:
    return kind.name == "role-assignment"


def replaced(value: Any, pointer: str, new: Any) -> Any:
    """With that at its place, if there is such a place."""
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


def pointed(kind: Kind, spec: Json) -> Iterator[tuple[str, tuple[Link, ...]]]:
    """(pointer below the spec, what its row says) for each reference of a spec."""
    for place in dict.fromkeys(link.at for link in kind.links):
        for pointer, _ in every(spec, place):
            yield pointer, tuple(link for link in kind.links if link.at == place)


def in_order() -> list[Kind]:
    """Every kind after all that it lies in or must point to."""
    found: list[Kind] = []

    def context(kind: Kind) -> None:
        if kind in found or not kind.writable or kind.name in GIVEN:
            return
        for each in needed(kind):
            context(each)
        found.append(kind)

    for kind in INHABITED:
        context(kind)
    return found


def needed(kind: Kind) -> list[Kind]:
    above = [KINDS[parent.kind] for parent in parents(kind.ref(IDS, BASE))]
    linked = [KINDS[links[0].to[0]] for _, links in pointed(kind, sensible(kind, links=False))]
    return [each for each in (*above, *linked) if each is not kind]


async def prepare(client: Client) -> None:
    """One of each kind, called `base`, each active before the next needs it."""
    for kind in in_order():
        await client.made(url(target(kind.name)), body(kind))


def url(ref: Ref) -> str:
    return f"{KINDS[ref.kind].provider.base}/{ref.path}"
