"""One call of the cloud about many resources: under the tenure of each, ended with the first."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from secaplane.kinds import KINDS
from secaplane.model.shape import Json, Ref, Resource
from secaplane.plugins.plugin import Absent, Fence, Observation, Observed, ToObserve
from secaplane.reconcilers.cloud_call import observe_many
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.leases.lease import LeaseLost
from tests.scenario import IDS, lived
from tests.sealing import SEALER, SEALERS
from tests.virtual_time import in_virtual_time


class Partition:
    """Its tenure may be over."""

    def __init__(self, epoch: int, *, first_call_at: float = 0.0) -> None:
        self.over = False
        self.fences = FenceSource(epoch, self._require, first_call_at=first_call_at)

    def _require(self) -> None:
        if self.over:
            raise LeaseLost("over")


class TwoRequests:
    """A cloud that needs two requests for one call."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.asked: list[ToObserve] = []
        self.closed = False
        self.answers: Sequence[Observation | Exception] | None = None

    async def observe_many(self, asked: Sequence[ToObserve]) -> Sequence[Observation | Exception]:
        self.asked = [*asked]
        try:
            for request in ("first", "second"):
                self.sent.append(request)
                await asyncio.sleep(1)
        finally:
            self.closed = True
        return [Absent() for _ in asked] if self.answers is None else self.answers


class Asking:
    def __init__(self, *partitions: Partition) -> None:
        """As many resources as partitions, each in one of them."""
        self.cloud = TwoRequests()
        self.partitions = partitions

    async def __call__(self) -> Sequence[Observation | Exception]:
        return await observe_many(
            [(self._under(each), machine(n)) for n, each in enumerate(self.partitions)]
        )

    def _under(self, partition: Partition) -> ReconcileDependencies:
        made = SimpleNamespace(plugin=self.cloud, fences=partition.fences, sealers=SEALERS)
        return cast(ReconcileDependencies, made)

    def fences(self) -> list[Fence]:
        return [each.fence for each in self.cloud.asked]


def address(number: int) -> Ref:
    return KINDS["instance"].ref(IDS, f"i{number}")


def machine(number: int, spec: Json | None = None) -> Resource:
    return lived(address(number), spec or {"zone": "a"})


def later(seconds: float, partition: Partition) -> None:
    asyncio.get_running_loop().call_later(seconds, lambda: setattr(partition, "over", True))


@in_virtual_time
async def test_each_resource_is_named_with_a_fence_of_its_own_tenure() -> None:
    one, two = Partition(7), Partition(9)
    asking = Asking(one, two, one)
    asking.cloud.answers = [Absent(), ValueError("busy"), Observed({"powerState": "on"})]
    assert await asking() == asking.cloud.answers
    assert [each.resource.ref for each in asking.cloud.asked] == [address(n) for n in range(3)]
    assert asking.fences() == [Fence(7, 1), Fence(9, 1), Fence(7, 2)]
    await asking()
    assert asking.fences() == [Fence(7, 3), Fence(9, 2), Fence(7, 4)]


@in_virtual_time
async def test_no_resources_are_no_call() -> None:
    assert await observe_many([]) == []


@in_virtual_time
async def test_no_call_begins_if_one_of_the_tenures_is_over() -> None:
    one, two = Partition(7), Partition(9)
    two.over = True
    asking = Asking(one, two, one)
    with pytest.raises(LeaseLost):
        await asking()
    assert asking.cloud.sent == []


@in_virtual_time
async def test_a_call_sends_nothing_more_when_any_of_its_tenures_is_over() -> None:
    for ending in range(3):
        partitions = [Partition(7), Partition(8), Partition(9)]
        asking = Asking(*partitions)
        later(0.5, partitions[ending])
        with pytest.raises(LeaseLost):
            await asking()
        assert asking.cloud.sent == ["first"]
        assert asking.cloud.closed


@in_virtual_time
async def test_the_answers_that_come_when_a_tenure_is_over_are_not_used() -> None:
    one, two = Partition(7), Partition(9)
    asking = Asking(one, two)
    later(1.5, two)
    with pytest.raises(LeaseLost):
        await asking()
    assert asking.cloud.sent == ["first", "second"]


@in_virtual_time
async def test_the_call_waits_for_the_last_of_the_first_calls_that_are_allowed() -> None:
    """A partition was taken over from a process whose requests may still arrive."""
    asking = Asking(Partition(7), Partition(9, first_call_at=5.0), Partition(8, first_call_at=3.0))
    call = asyncio.create_task(asking())
    await asyncio.sleep(4.9)
    assert asking.cloud.sent == []
    await call
    assert asyncio.get_running_loop().time() == 7


@in_virtual_time
async def test_a_tenure_that_ends_while_the_call_waits_ends_it_before_anything_is_sent() -> None:
    one, two = Partition(7), Partition(9, first_call_at=5.0)
    asking = Asking(one, two)
    later(2, one)
    with pytest.raises(LeaseLost):
        await asking()
    assert asking.cloud.sent == []


@in_virtual_time
async def test_an_answer_for_each_resource_is_asked_for() -> None:
    asking = Asking(Partition(7), Partition(9))
    asking.cloud.answers = [Absent()]
    with pytest.raises(ValueError, match="1 answers for 2 resources"):
        await asking()


@in_virtual_time
async def test_a_cancellation_of_the_call_from_outside_stays_one() -> None:
    asking = Asking(Partition(7))
    task = asyncio.create_task(asking())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asking.cloud.closed


@in_virtual_time
async def test_secrets_are_opened_for_the_cloud() -> None:
    secret = "#cloud-config"
    clear = machine(0, {"zone": "a", "userData": secret})
    spec = SEALER.seal(KINDS["instance"], clear.life_ids, clear.spec)
    assert spec["userData"] != secret
    asking = Asking(Partition(7))
    dependencies: Any = asking._under(asking.partitions[0])
    await observe_many([(dependencies, machine(0, spec))])
    assert asking.cloud.asked[0].resource.spec["userData"] == secret
