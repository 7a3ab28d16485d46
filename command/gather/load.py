"""Loading of resources for a decision, as current as the decision needs them."""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice

from secaplane.command.rules.context import DecisionContext, living
from secaplane.eventlog.resource_cache import ResourceCache
from secaplane.kinds import KINDS
from secaplane.model.kind import Backing
from secaplane.model.position import BEGINNING, Position
from secaplane.model.shape import Ref, Resource

CONCURRENT_LOADS_MAX = 64
"""Loads that one command has in flight, however much its body refers to."""
RARELY_CHANGED = ("tenant",)
"""Kinds besides the catalogue's that change so rarely that `ResourceCache.recent` (at most
RECENT_S seconds old) is current enough. A resource that is created in a tenant while the tenant is
deleted is reverted by its reconciler, which reads the events of both in the order of the log, or
the tenant anew where another stream records it (`gather.elsewhere`)."""


async def load(
    cache: ResourceCache, ref: Ref, *, required: Sequence[Ref] = (), from_cache: bool = False
) -> DecisionContext:
    """The resource at its last position according to the leader, and the resources `required` for
    it.

    `from_cache` takes the resource as this process last saw it, absent if it never did. That costs
    no question, and is safe for an event whose append fails with VersionConflict if the cache was
    stale.

    Raises:
        LogUnavailable: the log did not answer.
    """
    read_by_rules = KINDS[ref.kind].parents_read
    parents = {
        parent: None if parent.kind in read_by_rules else _cached_parent(cache, parent)
        for parent in required
    }
    uncached = [parent for parent, resource in parents.items() if resource is None]
    refs = uncached if from_cache else [ref, *uncached]
    answers = await asyncio.gather(*map(cache.current, refs)) if refs else []
    loaded = dict(zip(refs, answers, strict=True))
    parents |= {parent: living(loaded[parent]) for parent in uncached}
    latest = cache.cached(ref) if from_cache else loaded[ref]
    return DecisionContext(ref=ref, kind=KINDS[ref.kind], latest=latest, parents=parents)


async def load_living(
    cache: ResourceCache, refs: Iterable[Ref], *, at: Position = BEGINNING
) -> dict[Ref, Resource | None]:
    """The living resource at each address, None where there is none. Rarely changed kinds may be
    some seconds old. With `at`, a process that follows the log may answer as of that position.

    Raises:
        LogUnavailable: the log did not answer.
    """
    resources = {
        ref: cache.recently_read(ref) if _rarely_changed(ref) else cache.as_of(ref, at)
        for ref in refs
    }
    missing = iter([ref for ref, resource in resources.items() if resource is None])
    resources = {ref: living(resource) for ref, resource in resources.items()}
    while batch := list(islice(missing, CONCURRENT_LOADS_MAX)):
        loaded = await asyncio.gather(*(_load(cache, ref) for ref in batch))
        resources |= {ref: living(each) for ref, each in zip(batch, loaded, strict=True)}
    return resources


async def _load(cache: ResourceCache, ref: Ref) -> Resource | None:
    return await (cache.recent(ref) if _rarely_changed(ref) else cache.current(ref))


def _rarely_changed(ref: Ref) -> bool:
    return ref.kind in RARELY_CHANGED or KINDS[ref.kind].backing is Backing.CATALOGUE


def _cached_parent(cache: ResourceCache, parent: Ref) -> Resource | None:
    """A parent that lives according to the cache is taken from it without a question. If it was
    deleted meanwhile, the check after the append (`command.post_append`) sees it."""
    cached = cache.cached(parent)
    return None if cached is None or cached.terminating else cached
