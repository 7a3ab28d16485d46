"""Load balancers, and which of the NICs behind them would answer."""

from collections.abc import Iterator

from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import Thing, Wish
from secaplane.plugins.simulated.world import World

MEMBERS_MAX = 1000


def load_balancer(thing: Thing, wish: Wish, world: World) -> Json:
    healthy = [reference for uid, reference in _members(wish).items() if _answers(uid, world)]
    return {"healthyMembers": healthy[:MEMBERS_MAX]}


def _members(wish: Wish) -> dict[str, Json]:
    """The NICs that are bound, each as the spec first calls it."""
    members: dict[str, Json] = {}
    for pointer, reference in _references(wish.spec):
        if pointer in wish.targets:
            members.setdefault(wish.targets[pointer], reference)
    return members


def _references(spec: Json) -> Iterator[tuple[str, Json]]:
    for n, frontend in enumerate(spec["frontends"]):
        for m, reference in enumerate(frontend["target"]["members"]):
            yield f"/frontends/{n}/target/members/{m}", reference


def _answers(uid: str, world: World) -> bool:
    """A NIC is as well as the machine that has it: there, and on."""
    return world.there(uid) is not None and any(
        user.status["powerState"] == "on" for user in world.users(uid, "instance")
    )
