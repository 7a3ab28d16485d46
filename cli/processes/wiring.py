"""The door to the log, as a process that writes opens it."""

from collections.abc import Mapping, Sequence
from secrets import token_bytes
from uuid import uuid4

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies, now
from secaplane.command.dependencies import CommandDependencies
from secaplane.command.rules.context import SiteRules
from secaplane.eventlog.codec import SALT_BYTES
from secaplane.kinds import KINDS, blocking_kinds, children
from secaplane.model.position import Position
from secaplane.model.shape import Ref, Resource
from secaplane.readmodel import questions
from secaplane.readmodel.questions import owned
from secaplane.readmodel.questions.usage import UsageQueries
from secaplane.reconcilers.related import LoadOwned

INSIDE_MAX = 10_000


def command_dependencies(process: ProcessDependencies, config: Config) -> CommandDependencies:
    async def inside(ref: Ref, include_terminating: bool) -> Sequence[Ref]:
        below = [kind.name for kind in children(KINDS[ref.kind])]
        return await questions.below(
            process.pool, below, ref.path, include_terminating=include_terminating, limit=INSIDE_MAX
        )

    async def users(refs: Sequence[Ref], include_terminating: bool) -> Sequence[Ref]:
        holders = {name for ref in refs for name in blocking_kinds(KINDS[ref.kind])}
        found = await questions.referrers(process.pool, refs, kinds=sorted(holders))
        return list(
            dict.fromkeys(user.ref for user in found if include_terminating or not user.terminating)
        )

    async def named_by(ref: Ref, kinds: Sequence[str]) -> Sequence[Ref]:
        return [user.ref for user in await questions.referrers(process.pool, [ref], kinds=kinds)]

    async def reached(positions: Sequence[Position], seconds: float) -> bool:
        return await process.progress.reached(positions, seconds=seconds, patient=True)

    return CommandDependencies(
        log=process.log,
        cache=process.cache,
        clock=now,
        new_uid=lambda: uuid4().hex,
        new_salt=lambda: token_bytes(SALT_BYTES),
        children=inside,
        referrers=users,
        named_by=named_by,
        reached=reached,
        usage=UsageQueries(process.pool),
        site=site_rules(config),
    )


def load_owned(process: ProcessDependencies) -> LoadOwned:
    async def load(resource: Resource) -> Mapping[Ref, Resource]:
        make = KINDS[resource.ref.kind].owned.members
        if make is None:
            return {}
        stem, members = make(resource)
        places = {Ref(each.kind, each.path.rpartition("/")[0]) for each in members}
        return await owned.owned_resources(process.pool, places, stem)

    return load


def site_rules(config: Config) -> SiteRules:
    modes = msgspec.structs.asdict(config.references)
    pairs = [each.split("/") for each in config.deletion.cascades]
    pairs += [[kind.name, each] for kind in KINDS.values() for each in kind.owned.cascades]
    return SiteRules(
        region=config.site.region,
        deferred=frozenset(name for name, mode in modes.items() if mode == "deferred"),
        cascades=frozenset((parent, child) for parent, child in pairs),
    )
