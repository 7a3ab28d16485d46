"""What the cloud has on offer becomes resources: regions and SKUs, each one event in a shared
place."""

from collections.abc import Sequence
from uuid import uuid4

import msgspec
from asyncpg import Pool
from msgspec import UNSET

from secaplane.command.dependencies import CommandDependencies
from secaplane.command.handle import handle
from secaplane.command.rules.commands import Command, Delete, Put
from secaplane.kinds import KINDS, PROVIDERS, SHARED_TENANT
from secaplane.model.events import SYSTEM
from secaplane.model.kind import Backing
from secaplane.model.shape import Json, Ref
from secaplane.plugins import CatalogueEntry
from secaplane.readmodel import questions

OFFERED = tuple(kind.name for kind in KINDS.values() if kind.backing is Backing.CATALOGUE)


async def publish(
    dependencies: CommandDependencies,
    pool: Pool,
    offers: Sequence[CatalogueEntry],
    *,
    base_url: str,
) -> None:
    """Record what is new or different, and delete what is no longer on offer.

    Raises:
        ValueError: the cloud offers what its kind's schema does not allow.
    """
    wanted = {_ref(offer): offer for offer in offers}
    for ref, offer in wanted.items():
        spec = _spec(offer, base_url)
        msgspec.convert(spec, KINDS[offer.kind].spec)
        labels = offer.labels or UNSET
        here = await dependencies.cache.current(ref)
        if here is None or here.terminating or (here.spec, here.labels) != (spec, labels):
            await _say(dependencies, ref, Put(spec=spec, labels=labels))
    shown, _ = await questions.living_of(pool, OFFERED)
    for resource in shown:
        if resource.ref not in wanted and not resource.terminating:
            await _say(dependencies, resource.ref, Delete())


def _ref(offer: CatalogueEntry) -> Ref:
    return KINDS[offer.kind].ref({"tenant": SHARED_TENANT}, offer.name)


def _spec(offer: CatalogueEntry, base_url: str) -> Json:
    """A cloud knows its zones; under which address its providers answer, only the house knows."""
    if offer.kind != "region":
        return offer.spec
    served = [p for name, p in sorted(PROVIDERS.items()) if name.startswith("seca.")]
    providers = [
        {"name": p.name, "version": p.version, "url": f"{base_url}/providers/{p.name}"}
        for p in served
    ]
    return offer.spec | {"providers": providers}


async def _say(dependencies: CommandDependencies, ref: Ref, command: Command) -> None:
    await handle(dependencies, ref, command, actor=SYSTEM, request=f"catalogue-{uuid4().hex}")
