"""Network load balancer: distributes the traffic of its ports over the NICs of instances.

SECA `seca.load-balancer/v1beta1` (extensions.loadbalancer.v1beta1)."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from secaplane.kinds.loadbalancer import PROVIDER
from secaplane.model.errors import BrokenRule
from secaplane.model.kind import Kind, Link, SpecRules
from secaplane.model.shape import Json, Reference, Status, Wire

Port = Annotated[int, Meta(ge=1, le=65535)]


class HealthCheck(Wire, frozen=True):
    interval: Annotated[int, Meta(ge=1, le=86400)]
    """Seconds."""
    timeout: Annotated[int, Meta(ge=1, le=600)]
    """Seconds."""
    retry: Annotated[int, Meta(ge=0, le=10)]
    type: Literal["connect"] = "connect"


class Target(Wire, frozen=True):
    members: Annotated[tuple[Reference, ...], Meta(min_length=1, max_length=1000)]
    port: Port | UnsetType = UNSET
    """Absent: the frontend's."""
    algorithm: Literal["round-robin"] = "round-robin"
    proxy_protocol: Literal["none", "v2"] = "none"
    health_check: HealthCheck | UnsetType = UNSET


class Frontend(Wire, frozen=True):
    protocol: Literal["tcp", "udp", "both"]
    port: Port
    target: Target


class NetworkLoadBalancerSpec(Wire, frozen=True):
    nic_ref: Reference
    frontends: Annotated[tuple[Frontend, ...], Meta(min_length=1, max_length=50)]
    security_group_ref: Reference | UnsetType = UNSET
    frontend_port: Port | UnsetType = UNSET
    backend_port: Port | UnsetType = UNSET


class NetworkLoadBalancerStatus(Status, frozen=True):
    healthy_members: Annotated[tuple[Reference, ...], Meta(max_length=1000)] | UnsetType = UNSET


def distinct_frontends(spec: Json) -> Iterable[BrokenRule]:
    """No two frontends share port and protocol; `both` is tcp and udp."""
    taken: Counter[tuple[str, int]] = Counter()
    for n, each in enumerate(spec["frontends"]):
        protocols = ("tcp", "udp") if each["protocol"] == "both" else (each["protocol"],)
        ports = [(protocol, each["port"]) for protocol in protocols]
        if any(taken[port] for port in ports):
            yield BrokenRule(
                "repeats port and protocol of another frontend", f"/spec/frontends/{n}/port"
            )
        taken.update(ports)


KIND = Kind(
    provider=PROVIDER,
    name="network-load-balancer",
    title="NetworkLoadBalancer",
    collection="tenants/{tenant}/workspaces/{workspace}/network-load-balancers",
    spec=NetworkLoadBalancerSpec,
    status=NetworkLoadBalancerStatus,
    rules=SpecRules(check=distinct_frontends),
    links=(
        Link(at="/nicRef", to=("nic",), blocks_deletion=True),
        Link(at="/securityGroupRef", to=("security-group",)),
        Link(
            at="/frontends/*/target/members/*",
            to=("nic",),
            affects_status=True,
            shared_through="instance",
        ),
    ),
)
