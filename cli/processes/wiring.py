"""Dependencies of the commands, wired to the log and the read model of a process."""

from collections.abc import Mapping, Sequence
from secrets import token_bytes
from uuid import uuid4

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies, now
from secaplane.command.dependencies import CommandDependencies, SealSpec
from secaplane.command.rules.context import SiteRules
from secaplane.eventlog.codec import SALT_BYTES
from secaplane.kinds import KINDS, blocking_kinds, children
from secaplane.model.errors import Unavailable
from secaplane.model.kind import Kind
from secaplane.model.position import Position
from secaplane.model.shape import Json, LifeIds, Ref, Resource
from secaplane.policy.grants.lives import KINDS_OF_LIVES
from secaplane.policy.grants.policy import KINDS_OF_POLICY, Policy
from secaplane.policy.watch import PolicyWatch
from secaplane.readmodel import questions
from secaplane.readmodel.questions import owned
from secaplane.readmodel.questions.related import RelatedQueries
from secaplane.readmodel.questions.usage import UsageQueries
from secaplane.reconcilers.related import LoadOwned

CHILDREN_MAX = 10_000


def command_dependencies(process: ProcessDependencies, config: Config) -> CommandDependencies:
    async def children_of(ref: Ref, include_terminating: bool) -> Sequence[Ref]:
        below = [kind.name for kind in children(KINDS[ref.kind])]
        return await questions.below(
            process.pool,
            below,
            ref.path,
            include_terminating=include_terminating,
            limit=CHILDREN_MAX,
        )

    async def referrers_of(refs: Sequence[Ref], include_terminating: bool) -> Sequence[Ref]:
        blocking = {name for ref in refs for name in blocking_kinds(KINDS[ref.kind])}
        referrers = await questions.referrers(process.pool, refs, kinds=sorted(blocking))
        included = (each for each in referrers if include_terminating or not each.terminating)
        return list(dict.fromkeys(each.ref for each in included))

    async def named_by(ref: Ref, kinds: Sequence[str]) -> Sequence[Ref]:
        return [each.ref for each in await questions.referrers(process.pool, [ref], kinds=kinds)]

    async def reached(positions: Sequence[Position], seconds: float) -> bool:
        return await process.progress.reached(positions, seconds=seconds, patient=True)

    return CommandDependencies(
        log=process.log,
        cache=process.cache,
        clock=now,
        new_uid=lambda: uuid4().hex,
        new_salt=lambda: token_bytes(SALT_BYTES),
        seal=_seal(process),
        children=children_of,
        referrers=referrers_of,
        named_by=named_by,
        related=RelatedQueries(process.pool),
        reached=reached,
        usage=UsageQueries(process.pool),
        site=site_rules(config),
    )


def _seal(process: ProcessDependencies) -> SealSpec:
    """Commands of operators, such as `secaplane tenant create`, may have no keyring: then what has
    secrets cannot be written."""
    if process.sealers is not None:
        return process.sealers.seal

    async def refuse(kind: Kind, life: LifeIds, spec: Json) -> Json:
        raise Unavailable(f"this process has no keyring, and so writes no {kind.name}")

    return refuse


def load_owned(process: ProcessDependencies) -> LoadOwned:
    async def load(resource: Resource) -> Mapping[Ref, Resource]:
        make = KINDS[resource.ref.kind].owned.members
        if make is None:
            return {}
        stem, members = make(resource)
        places = {Ref(each.kind, each.path.rpartition("/")[0]) for each in members}
        return await owned.owned_resources(process.pool, places, stem)

    return load


def watching(config: Config, watch: PolicyWatch) -> Policy:
    """A policy kept current by the watch."""
    policy = Policy(operators=config.auth.operators, region=config.site.region, fresh=watch.fresh)
    watch.subscribe(policy, KINDS_OF_POLICY)
    watch.subscribe(policy.former_workspaces, KINDS_OF_LIVES)
    return policy


def site_rules(config: Config) -> SiteRules:
    modes = msgspec.structs.asdict(config.references)
    pairs = [each.split("/") for each in config.deletion.cascades]
    pairs += [[kind.name, each] for kind in KINDS.values() for each in kind.owned.cascades]
    return SiteRules(
        region=config.site.region,
        deferred=frozenset(name for name, mode in modes.items() if mode == "deferred"),
        cascades=frozenset((parent, child) for parent, child in pairs),
        any_ranges=config.network.private_ranges == "any",
    )
