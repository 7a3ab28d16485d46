"""The contract of a plugin as a test suite, for plugin authors and `secaplane plugin check`.

In a test module (pytest and secaplane are all it needs):

    import pytest
    from secaplane.plugins import contract

    @pytest.mark.parametrize("check", contract.CHECKS, ids=contract.name)
    def test_the_contract(check: contract.Check) -> None:
        contract.run(check, contract.Subject(lambda: MyPlugin("https://cloud.test")))

Every check works with resources of its own, with fresh uids, and removes them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import uuid4

import msgspec

from secaplane.kinds import KINDS
from secaplane.model.position import position
from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins.catalogue import validated_spec
from secaplane.plugins.plugin import (
    Absent,
    Bound,
    Fence,
    FenceRejected,
    InProgress,
    InventoryItem,
    Observed,
    Outcome,
    Plugin,
    Ready,
    TerminalError,
    ToObserve,
)

SAMPLE_TIME = datetime(2026, 1, 1, tzinfo=UTC)
INTERRUPT_AFTER_STEPS = (0, 1, 2, 5, 20)
"""Steps of the event loop before a call is cancelled."""
SAMPLE_GB = 10
INVENTORY_PAGE_MAX = 10_000


class ContractBroken(AssertionError):
    """A check failed; one line."""


class NotApplicable(Exception):
    """The plugin declares that its cloud cannot do what the check is about."""


@dataclass(frozen=True)
class Subject:
    """The plugin under test. `connect` makes a new plugin for the same cloud, as a process that
    starts again would."""

    connect: Callable[[], Plugin]
    kind: str = ""
    """Kind of the sample resource; by default a volume of the first storage SKU offered, or a
    workspace where none is offered."""
    spec: Json = field(default_factory=dict)
    bound: Bound = field(default_factory=dict)
    objects: Callable[[str], Awaitable[int]] | None = None
    """Counts the objects of the cloud that bear a uid, so that the suite finds duplicates that the
    plugin does not see itself."""
    epoch: int = 1
    ready_s_max: float = 60.0
    """A resource must be ready within that time."""


class Trial:
    """One check in progress: a sample resource, a plugin, growing fences."""

    def __init__(self, subject: Subject, plugin: Plugin, kind: str, spec: Json) -> None:
        self.plugin, self.kind, self.spec = plugin, kind, spec
        self._subject = subject
        self._numbers = count(1)

    def fence(self) -> Fence:
        return Fence(self._subject.epoch, next(self._numbers))

    def sample(self) -> Resource:
        """A new resource that was never in the cloud."""
        return sample(self.kind, self.spec, uuid4().hex)

    async def ensure(self, resource: Resource) -> Outcome:
        """Call `ensure` until it has an outcome."""
        bound = self._subject.bound
        return await self._finished(lambda: self.plugin.ensure(resource, bound, self.fence()))

    async def ensure_once(self, resource: Resource, fence: Fence) -> Outcome:
        """One call, with a fence of the caller's choice."""
        return await self.plugin.ensure(resource, self._subject.bound, fence)

    async def ensured(self, resource: Resource) -> Json:
        """The reported status of a resource that must become ready."""
        outcome = await self.ensure(resource)
        require(isinstance(outcome, Ready), f"ensure answered {outcome}, expected Ready")
        assert isinstance(outcome, Ready)
        msgspec.convert(outcome.status, KINDS[self.kind].status)
        return outcome.status

    async def remove(self, resource: Resource) -> None:
        outcome = await self._finished(lambda: self.plugin.remove(resource, self.fence()))
        require(isinstance(outcome, Ready), f"remove answered {outcome}, expected Ready")

    async def require_absent(self, resource: Resource) -> None:
        seen = await self.plugin.observe(resource, self.fence())
        require(isinstance(seen, Absent), f"observe answered {seen}, expected Absent")
        await self.require_objects(resource, 0)

    async def require_objects(self, resource: Resource, expected: int) -> None:
        if self._subject.objects is not None:
            number = await self._subject.objects(resource.uid)
            require(number == expected, f"{number} objects bear the uid, expected {expected}")

    async def reconnect(self) -> None:
        """A new plugin, as after a restart of the process."""
        await self.plugin.close()
        self.plugin = self._subject.connect()

    async def _finished(self, call: Callable[[], Awaitable[Outcome]]) -> Outcome:
        try:
            async with asyncio.timeout(self._subject.ready_s_max):
                while True:
                    outcome = await call()
                    if not isinstance(outcome, InProgress):
                        return outcome
                    await asyncio.sleep(outcome.requeue_after_s)
        except TimeoutError as error:
            raise ContractBroken(f"not finished in {self._subject.ready_s_max} s") from error


Check = Callable[[Trial], Awaitable[None]]


def require(condition: bool, message: str) -> None:
    """An assertion that also holds under `python -O`."""
    if not condition:
        raise ContractBroken(message)


def name(check: Check) -> str:
    return str(getattr(check, "__name__", check))


def run(check: Check, subject: Subject) -> None:
    """Run one check outside an event loop, as a synchronous test does."""
    try:
        asyncio.run(run_check(check, subject))
    except NotApplicable:
        return


async def run_check(check: Check, subject: Subject) -> None:
    """Raises ContractBroken where the check fails or the plugin raises, NotApplicable where the
    check does not apply. A failed check may leave its resource, called `contract-<uid>`."""
    plugin = subject.connect()
    trial: Trial | None = None
    try:
        kind, spec = (subject.kind, subject.spec) if subject.kind else await _standard(plugin)
        async with _inside_a_workspace(plugin, subject, kind) as placed:
            trial = Trial(placed, plugin, kind, spec)
            await check(trial)
    except (ContractBroken, NotApplicable):
        raise
    except Exception as error:
        raise ContractBroken(f"the plugin raised {type(error).__name__}: {error}") from error
    finally:
        await (trial.plugin if trial else plugin).close()


def sample(kind: str, spec: Json, uid: str) -> Resource:
    """A resource as a reconciler passes it after its creation."""
    ids = {part: "contract" for part in KINDS[kind].scope}
    begin = position("CONTRACT", 1)
    return Resource(
        ref=Ref(kind, KINDS[kind].ref(ids, f"contract-{uid}").path),
        uid=uid,
        spec=spec,
        version=1,
        position=begin,
        time=SAMPLE_TIME,
        life=begin,
        created_at=SAMPLE_TIME,
        modified_at=SAMPLE_TIME,
        last_intent=begin,
    )


@asynccontextmanager
async def _inside_a_workspace(
    plugin: Plugin, subject: Subject, kind: str
) -> AsyncIterator[Subject]:
    """The subject with a workspace around its samples, which is in the cloud inside."""
    if "workspace" not in KINDS[kind].scope or "workspace" in subject.bound:
        yield subject
        return
    workspace = msgspec.structs.replace(
        sample("workspace", {}, uuid4().hex),
        ref=Ref("workspace", "tenants/contract/workspaces/contract"),
    )
    trial = Trial(subject, plugin, "workspace", {})
    await trial.ensured(workspace)
    yield replace(subject, bound={**subject.bound, "workspace": workspace})
    trial.plugin = subject.connect()  # a check may have closed the other one
    await trial.remove(workspace)
    await trial.plugin.close()


async def _standard(plugin: Plugin) -> tuple[str, Json]:
    for entry in await plugin.catalogue():
        if entry.kind == "storage-sku":
            return "block-storage", {
                "sizeGB": SAMPLE_GB,
                "skuRef": {"resource": f"skus/{entry.name}"},
            }
    return "workspace", {}


# --- the checks


async def asked_twice_is_done_once(trial: Trial) -> None:
    resource = trial.sample()
    first = await trial.ensured(resource)
    require(await trial.ensured(resource) == first, "the second ensure reports another status")
    await trial.reconnect()
    require(await trial.ensured(resource) == first, "after a restart the status is another one")
    await trial.require_objects(resource, 1)
    await trial.remove(resource)
    await trial.remove(resource)
    await trial.require_absent(resource)


async def an_interrupted_call_is_finished_by_the_next(trial: Trial) -> None:
    for steps in INTERRUPT_AFTER_STEPS:
        resource = trial.sample()
        await _interrupted(trial.ensure_once(resource, trial.fence()), steps)
        await trial.reconnect()
        await trial.ensured(resource)
        await trial.require_objects(resource, 1)
        await _interrupted(trial.plugin.remove(resource, trial.fence()), steps)
        await trial.reconnect()
        await trial.remove(resource)
        await trial.require_absent(resource)


async def removing_what_never_existed_is_ready(trial: Trial) -> None:
    resource = trial.sample()
    await trial.remove(resource)
    await trial.require_absent(resource)


async def an_older_fence_is_refused(trial: Trial) -> None:
    _require_comparable(trial)
    resource, older = trial.sample(), trial.fence()
    await trial.ensured(resource)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "ensure": lambda: trial.ensure_once(resource, older),
        "observe": lambda: trial.plugin.observe(resource, older),
        "remove": lambda: trial.plugin.remove(resource, older),
    }
    for what, call in calls.items():
        require(await _rejected(call), f"{what} accepted a fence older than the last call's")
    await trial.require_objects(resource, 1)
    await trial.remove(resource)
    for what, call in calls.items():
        require(await _rejected(call), f"{what} accepted an older fence after the removal")
    await trial.require_absent(resource)


async def nothing_is_made_for_a_removed_uid(trial: Trial) -> None:
    _require_comparable(trial)
    once, never = trial.sample(), trial.sample()
    await trial.ensured(once)
    for resource in (once, never):
        await trial.remove(resource)
        await trial.reconnect()
        outcome = await trial.ensure(resource)
        require(
            isinstance(outcome, TerminalError),
            f"ensure of a removed uid answered {outcome}, expected TerminalError",
        )
        await trial.require_absent(resource)


async def observe_equals_the_reported_status(trial: Trial) -> None:
    resource = trial.sample()
    await trial.require_absent(resource)
    status = await trial.ensured(resource)
    seen = await trial.plugin.observe(resource, trial.fence())
    require(seen == Observed(status), f"observe answered {seen}, ensure reported {status}")
    await trial.remove(resource)
    await trial.require_absent(resource)


async def observing_many_equals_observing_each(trial: Trial) -> None:
    if trial.plugin.observes_at_once == 1:
        raise NotApplicable("the plugin declares that its cloud answers for one at a time")
    older, made, absent, later = trial.fence(), trial.sample(), trial.sample(), trial.sample()
    status = await trial.ensured(made)
    await trial.ensured(later)
    asked = [(absent, trial.fence()), (made, trial.fence()), (later, older)]
    seen = await trial.plugin.observe_many([ToObserve(*each) for each in asked])
    require(
        [*seen[:2]] == [Absent(), Observed(status)],
        f"observe_many answered {seen[:2]}, expected nothing, then the status {status}",
    )
    if trial.plugin.compares_fences:
        rejected = isinstance(seen[2], FenceRejected)
        require(rejected, f"observe_many answered {seen[2]} to a fence older than the last call's")
    for resource in (made, later):
        await trial.remove(resource)


async def a_request_has_a_time_out(trial: Trial) -> None:
    """A process that takes over waits that long if the cloud compares no fences."""
    seconds = trial.plugin.request_s_max
    require(0 < seconds < float("inf"), f"request_s_max is {seconds}, expected some seconds")


async def the_inventory_lists_what_exists(trial: Trial) -> None:
    if not trial.plugin.lists_inventory:
        raise NotApplicable("the plugin declares that its cloud cannot list what it holds")
    first, second = trial.sample(), trial.sample()
    for resource in (first, second):
        await trial.ensured(resource)
    await trial.reconnect()
    for resource in (first, second):
        listed = await _listed(trial, resource)
        item = InventoryItem(resource.uid, resource.ref.kind, resource.ref.path)
        require(listed == [item], f"the inventory has {listed}, expected once: {item}")
    await trial.remove(first)
    require(not await _listed(trial, first), "the inventory has what was removed")
    require(bool(await _listed(trial, second)), "the inventory has no longer what exists")
    await trial.remove(second)


async def _listed(trial: Trial, resource: Resource) -> list[InventoryItem]:
    pages = [page async for page in trial.plugin.inventory()]
    largest = max((len(page) for page in pages), default=0)
    require(largest <= INVENTORY_PAGE_MAX, f"a page of the inventory has {largest} items")
    return [item for page in pages for item in page if item.uid == resource.uid]


async def catalogue_entries_match_their_kinds(trial: Trial) -> None:
    entries = await trial.plugin.catalogue()
    for entry in entries:
        try:
            validated_spec(entry)
        except ValueError as error:
            raise ContractBroken(str(error)) from error
    names = [(entry.kind, entry.name) for entry in entries]
    twice = sorted({f"{kind} {name}" for kind, name in names if names.count((kind, name)) > 1})
    require(not twice, f"offered twice: {', '.join(twice)}")


CHECKS: tuple[Check, ...] = (
    asked_twice_is_done_once,
    an_interrupted_call_is_finished_by_the_next,
    removing_what_never_existed_is_ready,
    an_older_fence_is_refused,
    nothing_is_made_for_a_removed_uid,
    observe_equals_the_reported_status,
    observing_many_equals_observing_each,
    a_request_has_a_time_out,
    the_inventory_lists_what_exists,
    catalogue_entries_match_their_kinds,
)


def _require_comparable(trial: Trial) -> None:
    if not trial.plugin.compares_fences:
        raise NotApplicable("the plugin declares that its cloud compares no fences")


async def _interrupted(call: Coroutine[Any, Any, Outcome], steps: int) -> None:
    """Cancel a call after some steps; it may have ended before."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(call)
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()


async def _rejected(call: Callable[[], Awaitable[object]]) -> bool:
    try:
        await call()
    except FenceRejected:
        return True
    return False
