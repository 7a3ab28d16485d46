"""Security group rule: allowed traffic; security groups refer to rules or contain them.

SECA `seca.network/v1` (foundation.network.v1)."""

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.network import PROVIDER
from secaplane.model.address import IpVersion, range_of
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import AbsentMeansAll, Kind, Link, SpecRules
from secaplane.model.shape import Annotations, Json, Reference, Wire

Port = Annotated[int, Meta(ge=1, le=65535)]
NOTES_MAX, KEY_LENGTH_MAX = 64, 128
SOURCES = ("security-group", "instance", "internet-gateway", "nat-gateway-instance")


class Ports(Wire, frozen=True):
    from_: Port | UnsetType = msgspec.field(name="from", default=UNSET)
    to: Port | UnsetType = UNSET
    list: Annotated[tuple[Port, ...], Meta(max_length=100)] | UnsetType = UNSET


class Icmp(Wire, frozen=True):
    type: Annotated[int, Meta(ge=0, le=8)]
    code: Annotated[int, Meta(ge=0, le=5)]


class SecurityGroupRuleSpec(Wire, frozen=True):
    direction: Literal["ingress", "egress"]
    annotations: Annotations | UnsetType = UNSET
    version: IpVersion | UnsetType = UNSET
    protocol: Literal["tcp", "udp", "tcp+udp", "icmp"] | UnsetType = UNSET
    ports: Ports | UnsetType = UNSET
    icmp: Icmp | UnsetType = UNSET
    source_ref: Annotated[tuple[Reference, ...], Meta(max_length=32)] | UnsetType = UNSET
    """Absent: any source."""


def broken_in(rule: Json, pointer: str) -> Iterable[BrokenRule]:
    """Fields of a rule that exclude each other (CEL rules of the schema)."""
    protocol, ports = rule.get("protocol"), rule.get("ports")
    notes = rule.get("annotations", {})
    if len(notes) > NOTES_MAX or any(len(key) > KEY_LENGTH_MAX for key in notes):
        yield BrokenRule(
            f"takes at most {NOTES_MAX} annotations with keys of {KEY_LENGTH_MAX} characters",
            f"{pointer}/annotations",
        )
    if "icmp" in rule and protocol not in (None, "icmp"):
        yield BrokenRule("requires the protocol icmp, or none", f"{pointer}/icmp")
    if ports is not None and protocol == "icmp":
        yield BrokenRule("exclude the protocol icmp", f"{pointer}/ports")
    if ports is not None and not any(ports.get(each) for each in ("from", "to", "list")):
        yield BrokenRule(
            "requires from, to or list; leave it out for all ports", f"{pointer}/ports"
        )
    if ports and ports.get("to", 65535) < ports.get("from", 1):
        yield BrokenRule("must not be less than from", f"{pointer}/ports/to")
    yield from _sources_of_other_version(rule, pointer)


def _sources_of_other_version(rule: Json, pointer: str) -> Iterable[BrokenRule]:
    """A rule of one IP version can match no address of the other."""
    for n, source in enumerate(rule.get("sourceRef", ()) if "version" in rule else ()):
        addresses = range_of(source["resource"])
        if addresses is not None and rule["version"] != f"IPv{addresses.version}":
            detail = f"is of IPv{addresses.version}, and the rule's version is {rule['version']}"
            yield BrokenRule(detail, f"{pointer}/sourceRef/{n}")


def rule_is_consistent(spec: Json) -> Iterable[BrokenRule]:
    return broken_in(spec, "/spec")


KIND = Kind(
    provider=PROVIDER,
    name="security-group-rule",
    title="SecurityGroupRule",
    collection="tenants/{tenant}/workspaces/{workspace}/security-group-rules",
    spec=SecurityGroupRuleSpec,
    rules=SpecRules(absent_means_all=(AbsentMeansAll("/sourceRef"),), check=rule_is_consistent),
    links=(Link(at="/sourceRef/*", to=SOURCES, strict=False, allows_address=True),),
)
