"""Load balancers, and which of the NICs behind them would answer."""

from collections.abc import Iterator

from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

MEMBERS_MAX = 1000


def load_balancer(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    healthy = [reference for uid, reference in _members(desired).items() if _answers(uid, world)]
    return {"healthyMembers": healthy[:MEMBERS_MAX]}


def _members(desired: DesiredObject) -> dict[str, Json]:
    """The NICs that are bound, each as the spec first calls it."""
    members: dict[str, Json] = {}
    for pointer, reference in _references(desired.spec):
        if pointer in desired.targets:
            members.setdefault(desired.targets[pointer], reference)
    return members


def _references(spec: Json) -> Iterator[tuple[str, Json]]:
    for n, frontend in enumerate(spec["frontends"]):
        for m, reference in enumerate(frontend["target"]["members"]):
            yield f"/frontends/{n}/target/members/{m}", reference


def _answers(uid: str, world: CloudView) -> bool:
    """A NIC is as well as the machine that has it: there, and on."""
    return world.there(uid) is not None and any(
        user.status["powerState"] == "on" for user in world.users(uid, "instance")
    )
