"""`secaplane tenant`: tenants come and go straight through the door to the log, without any
token."""

import sys
from collections.abc import Sequence
from uuid import uuid4

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import grounded, soon
from secaplane.cli.processes.wiring import door
from secaplane.command.companions import accompany
from secaplane.command.dependencies import Door
from secaplane.command.handle import handle
from secaplane.command.http.body import Bodies
from secaplane.command.rules.commands import Delete, Put
from secaplane.edge.requests.paths import broken_names
from secaplane.kinds import KINDS
from secaplane.model.errors import Outdated, Refusal
from secaplane.model.events import By
from secaplane.model.shape import Json

KIND = KINDS["tenant"]


async def create(config: Config, name: str, administrators: Sequence[str]) -> int:
    """One that is there already stays as it is.

    Raises:
        Unanswered, Refusal.
    """
    sent = {"spec": {"administrators": list(administrators)}}
    body = Bodies(region=config.site.region).read(KIND, sent, broken_names(KIND, {}, name))
    async with soon(grounded(config, writes_log=True)) as ground:
        try:
            await _make(door(ground, config), name, body.spec)
        except Outdated:
            return _complained(f"there is a tenant {name} already")
    print(f"tenant {name}; {', '.join(administrators)} may do everything in it")
    return 0


async def _make(door: Door, name: str, spec: Json) -> None:
    by, request = By(sub="secaplane tenant create"), uuid4().hex
    command = Put(spec=spec, expected=0)
    made = await handle(door, KIND.ref({}, name), command, by=by, request=request)
    assert made.resource is not None, "a PUT that is accepted leaves a resource"
    await accompany(door, made.resource, request=request, creator=by.sub)


async def delete(config: Config, name: str) -> int:
    """Its roles and role assignments go with it; for anything else in it, it stays."""
    by, request = By(sub="secaplane tenant delete"), uuid4().hex
    ref = KIND.ref({}, name)
    async with soon(grounded(config, writes_log=True)) as ground:
        try:
            await handle(door(ground, config), ref, Delete(), by=by, request=request)
        except Refusal as refusal:
            blockers: Sequence[str] = refusal.meta.get("blockers", ())
            return _complained(refusal.detail, *blockers)
    print(f"tenant {name} is being deleted, with its roles and role assignments")
    return 0


def _complained(*lines: str) -> int:
    for line in lines:
        print(f"secaplane: {line}", file=sys.stderr)
    return 1
