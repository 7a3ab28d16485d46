"""Load balancers, and the health of the NICs behind them."""

from collections.abc import Iterator

from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

MEMBERS_MAX = 1000


def load_balancer(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    healthy = [reference for uid, reference in _members(desired).items() if _is_healthy(uid, world)]
    return {"healthyMembers": healthy[:MEMBERS_MAX]}


def _members(desired: DesiredObject) -> dict[str, Json]:
    """The bound NICs by uid, each with its first reference in the spec."""
    members: dict[str, Json] = {}
    for pointer, reference in _references(desired.spec):
        if pointer in desired.targets:
            members.setdefault(desired.targets[pointer], reference)
    return members


def _references(spec: Json) -> Iterator[tuple[str, Json]]:
    for n, frontend in enumerate(spec["frontends"]):
        for m, reference in enumerate(frontend["target"]["members"]):
            yield f"/frontends/{n}/target/members/{m}", reference


def _is_healthy(uid: str, world: CloudView) -> bool:
    """A NIC is healthy if it exists and its instance is on."""
    return world.existing(uid) is not None and any(
        referrer.status["powerState"] == "on" for referrer in world.referrers(uid, "instance")
    )
