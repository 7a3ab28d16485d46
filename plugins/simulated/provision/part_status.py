"""Things that have a status for each of their parts: routes, and the rules of a firewall."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from secaplane.kinds.network.security_group import RULES_MAX
from secaplane.model.address import is_address_or_cidr
from secaplane.model.shape import Json
from secaplane.plugins.simulated.wire import CloudObject, DesiredObject
from secaplane.plugins.simulated.world import CloudView

CONDITIONS_MAX = 32


class Part(NamedTuple):
    said: Json
    """As the spec has it."""
    awaited: str = ""
    """What it refers to, if that is not there yet."""


def routing_table(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    wanted = [
        Part(route, _awaited(route["targetRef"], f"/routes/{n}/targetRef", desired, world))
        for n, route in enumerate(desired.spec["routes"])
    ]
    return {"routes": _statuses(thing, thing.spec["routes"], "routes", wanted, world)}


def security_group(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    wanted = [Part(rule) for rule in desired.spec.get("rules", ())]
    wanted += (
        Part(reference, _awaited(reference, f"/ruleRefs/{n}", desired, world))
        for n, reference in enumerate(desired.spec.get("ruleRefs", ()))
    )
    # Rules and references together can be twice as many as a status has room for.
    former = [*thing.spec.get("rules", ()), *thing.spec.get("ruleRefs", ())]
    return {"rules": _statuses(thing, former, "rules", wanted[:RULES_MAX], world)}


def _awaited(reference: Json, pointer: str, desired: DesiredObject, world: CloudView) -> str:
    named: str = reference["resource"]
    there = world.bound(desired, pointer) is not None or is_address_or_cidr(named)
    return "" if there else named


def _statuses(
    thing: CloudObject, former: Sequence[Json], field: str, wanted: Iterable[Part], world: CloudView
) -> list[Json]:
    """A part that is as it was keeps its history to the letter, wherever it stands now; so nothing
    is reported where nothing happened."""
    histories: dict[bytes, list[Json]] = defaultdict(list)
    for said, status in zip(former, thing.status.get(field, ()), strict=False):
        histories[_key(said)].append(status)
    now = world.now()
    return [
        _status(histories[key].pop(0) if histories[key := _key(part.said)] else None, part, now)
        for part in wanted
    ]


def _status(former: Json | None, part: Part, now: str) -> Json:
    state = "pending" if part.awaited else "active"
    if former is not None and former["state"] == state:
        return former
    newest: Json = {"state": state, "lastTransitionAt": now}
    if part.awaited:
        message = f"{part.awaited} is not there yet"
        newest |= {"type": "target", "reason": "TargetAbsent", "message": message}
    history = former["conditions"] if former else []
    return {"state": state, "conditions": [newest, *history][:CONDITIONS_MAX]}


def _key(said: Any) -> bytes:
    return msgspec.json.encode(said, order="sorted")
