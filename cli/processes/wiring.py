"""The door to the log, as a process that writes opens it."""

from collections.abc import Mapping, Sequence
from uuid import uuid4

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import Ground, now
from secaplane.command.dependencies import Door
from secaplane.command.gather.load import Site
from secaplane.kinds import KINDS, children, held
from secaplane.model.shape import Position, Ref, Resource
from secaplane.readmodel import questions
from secaplane.readmodel.questions import owned
from secaplane.readmodel.questions.usage import Usage
from secaplane.reconcilers.related import Family

INSIDE_MAX = 10_000


def door(ground: Ground, config: Config) -> Door:
    async def inside(ref: Ref, going_too: bool) -> Sequence[Ref]:
        below = [kind.name for kind in children(KINDS[ref.kind])]
        return await questions.below(
            ground.pool, below, ref.path, going_too=going_too, limit=INSIDE_MAX
        )

    async def users(refs: Sequence[Ref], going_too: bool) -> Sequence[Ref]:
        holders = {name for ref in refs for name in held(KINDS[ref.kind])}
        found = await questions.users(ground.pool, refs, kinds=sorted(holders))
        return list(dict.fromkeys(user.ref for user in found if going_too or not user.going))

    async def named_by(ref: Ref, kinds: Sequence[str]) -> Sequence[Ref]:
        return [user.ref for user in await questions.users(ground.pool, [ref], kinds=kinds)]

    async def reached(position: Position, seconds: float) -> bool:
        return await ground.progress.reached(position, seconds=seconds, patient=True)

    return Door(
        log=ground.log,
        folds=ground.folds,
        clock=now,
        new_uid=lambda: uuid4().hex,
        inside=inside,
        users=users,
        named_by=named_by,
        reached=reached,
        usage=Usage(ground.pool),
        site=site(config),
    )


def family(ground: Ground) -> Family:
    async def brood(resource: Resource) -> Mapping[Ref, Resource]:
        make = KINDS[resource.ref.kind].brood
        if make is None:
            return {}
        stem, members = make(resource)
        places = {Ref(each.kind, each.path.rpartition("/")[0]) for each in members}
        return await owned.family(ground.pool, places, stem)

    return brood


def site(config: Config) -> Site:
    modes = msgspec.structs.asdict(config.references)
    pairs = [each.split("/") for each in config.deletion.cascades]
    pairs += [[kind.name, each] for kind in KINDS.values() for each in kind.takes_along]
    return Site(
        region=config.site.region,
        deferred=frozenset(name for name, mode in modes.items() if mode == "deferred"),
        cascades=frozenset((parent, child) for parent, child in pairs),
    )
