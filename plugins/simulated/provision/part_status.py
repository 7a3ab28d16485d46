"""Kinds with a status for each part: routes of a table, and rules of a security group."""

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
    """A route, a rule, or a reference to a rule."""

    written: Json
    """As in the spec."""
    absent: str = ""
    """The name of its target if that does not exist yet."""


def routing_table(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    parts = [
        Part(route, _absent_target(route["targetRef"], f"/routes/{n}/targetRef", desired, world))
        for n, route in enumerate(desired.spec["routes"])
    ]
    return {"routes": _statuses(thing, thing.spec["routes"], "routes", parts, world)}


def security_group(thing: CloudObject, desired: DesiredObject, world: CloudView) -> Json:
    parts = [Part(rule) for rule in desired.spec.get("rules", ())]
    parts += (
        Part(reference, _absent_target(reference, f"/ruleRefs/{n}", desired, world))
        for n, reference in enumerate(desired.spec.get("ruleRefs", ()))
    )
    # Rules and references together can be twice the limit of a status.
    former = [*thing.spec.get("rules", ()), *thing.spec.get("ruleRefs", ())]
    return {"rules": _statuses(thing, former, "rules", parts[:RULES_MAX], world)}


def _absent_target(reference: Json, pointer: str, desired: DesiredObject, world: CloudView) -> str:
    name: str = reference["resource"]
    exists = world.target(desired, pointer) is not None or is_address_or_cidr(name)
    return "" if exists else name


def _statuses(
    thing: CloudObject, former: Sequence[Json], field: str, parts: Iterable[Part], world: CloudView
) -> list[Json]:
    """A part that is unchanged keeps its status, whatever its place in the list, so that
    nothing is reported without a change."""
    histories: dict[bytes, list[Json]] = defaultdict(list)
    for written, status in zip(former, thing.status.get(field, ()), strict=False):
        histories[_key(written)].append(status)
    now = world.now()
    return [
        _status(histories[key].pop(0) if histories[key := _key(part.written)] else None, part, now)
        for part in parts
    ]


def _status(former: Json | None, part: Part, now: str) -> Json:
    state = "pending" if part.absent else "active"
    if former is not None and former["state"] == state:
        return former
    newest: Json = {"state": state, "lastTransitionAt": now}
    if part.absent:
        message = f"{part.absent} does not exist yet"
        newest |= {"type": "target", "reason": "TargetAbsent", "message": message}
    history = former["conditions"] if former else []
    return {"state": state, "conditions": [newest, *history][:CONDITIONS_MAX]}


def _key(written: Any) -> bytes:
    return msgspec.json.encode(written, order="sorted")
