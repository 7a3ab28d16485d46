"""The simulated cloud in memory, called directly instead of over HTTP."""

from pathlib import Path
from random import Random
from typing import Any, Self

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.shape import Json, PowerState
from secaplane.plugins.simulated.catalogue import STANDARD, read
from secaplane.plugins.simulated.cloud import SimulatedCloud
from secaplane.plugins.simulated.state import CloudState
from secaplane.plugins.simulated.wire import (
    ActionRequest,
    Answer,
    DesiredObject,
    InProgressAnswer,
    ReadyAnswer,
    TerminalErrorAnswer,
)
from secaplane.reconcilers.fences import FenceSource

NOON_S = 1_767_268_800.0
CATALOGUE = read(STANDARD)
SIZED: Json = {"skuRef": {"resource": "skus/seca.n1k"}}
ROUTED: Json = {"zone": "a", "routeTableRef": {"resource": "route-tables/r"}}
VOLUME: Json = {"sizeGB": 10, "skuRef": {"resource": "skus/seca.rd100"}}
MACHINE: Json = {
    "skuRef": {"resource": "tenants/seca/skus/seca.ds"},
    "zone": "a",
    "bootVolume": {"deviceRef": {"resource": "block-storages/d"}, "type": "virtio"},
}


def to(name: str) -> Json:
    """A reference."""
    return {"resource": name}


class Scene:
    """A cloud whose answers are checked against the status type of the kind."""

    def __init__(self) -> None:
        self.now_s = NOON_S
        self.fences = FenceSource(epoch=1)
        state = CloudState(Path(":memory:"))
        self.cloud = SimulatedCloud(state, CATALOGUE, lambda: self.now_s, Random(7).randbytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cloud.state.close()

    def ask(
        self,
        kind: str,
        spec: Json,
        *,
        uid: str = "",
        workspace: str = "w",
        power: PowerState = "off",
        **bound: str,
    ) -> Answer:
        desired = _desired(kind, spec, uid or kind, workspace, power, bound)
        return self.cloud.ensure(uid or kind, desired, self.fences.next())

    def made(self, kind: str, spec: Json, **more: Any) -> Json:
        answer = self.ask(kind, spec, **more)
        assert isinstance(answer, ReadyAnswer), answer
        msgspec.convert(answer.status, KINDS[kind].status)
        return answer.status

    def refused(self, kind: str, spec: Json, **more: Any) -> str:
        answer = self.ask(kind, spec, **more)
        assert isinstance(answer, TerminalErrorAnswer), answer
        return answer.reason

    def waits(self, kind: str, spec: Json, **more: Any) -> bool:
        return isinstance(self.ask(kind, spec, **more), InProgressAnswer)

    def act(self, uid: str, action: str, key: int) -> None:
        desired = _desired("instance", MACHINE, uid, "w", None, {})
        request = ActionRequest(action=action, desired=desired)
        self.cloud.act(uid, key, request, self.fences.next())

    def remove(self, uid: str) -> None:
        assert self.cloud.remove(uid, self.fences.next()) == ReadyAnswer()

    # what many tests start from

    def network(self, cidr: Json, *more: Json, uid: str = "network", **rest: Any) -> Json:
        spec = SIZED | {"cidr": cidr} | ({"additionalCidrs": list(more)} if more else {})
        return self.made("network", spec, uid=uid, **rest)

    def subnet(self, cidr: Json, *, uid: str = "subnet", zone: str = "a", above: str = "") -> Json:
        spec = ROUTED | {"cidr": cidr, "zone": zone}
        cidrs: Json = self.made("subnet", spec, uid=uid, network=above or "network")["cidr"]
        return cidrs

    def nic(
        self, *addresses: str, uid: str = "nic", subnet: str = "subnet", **more: Any
    ) -> list[str]:
        spec = {"subnetRef": to(subnet), "addresses": list(addresses)}
        status = self.made("nic", spec, uid=uid, **{"/subnetRef": subnet}, **more)
        reported: list[str] = status["addresses"]
        return reported


def _desired(
    kind: str,
    spec: Json,
    uid: str,
    workspace: str,
    power: PowerState | None,
    bound: dict[str, str],
) -> DesiredObject:
    return DesiredObject(
        kind=kind,
        path=f"tenants/t/workspaces/{workspace}/{kind}s/{uid}",
        spec=spec,
        power=power,
        targets={place: other for place, other in bound.items() if place.startswith("/")},
        parents={place: other for place, other in bound.items() if not place.startswith("/")},
    )
