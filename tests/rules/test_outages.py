"""The backoff ends with the outage that caused it, on a virtual clock."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from asyncpg.exceptions import ConnectionDoesNotExistError

from secaplane.eventlog.log import LogUnavailable, OutdatedAnswer
from secaplane.model.errors import Unavailable
from secaplane.model.shape import Ref
from secaplane.plugins.plugin import CloudUnavailable, FenceRejected
from secaplane.reconcilers.wakes.outages import (
    PROBE_S_MAX,
    PROBE_S_MIN,
    SPREAD_S,
    SPREAD_S_MAX,
    OutageBackoff,
    System,
)
from secaplane.reconcilers.wakes.systems import system_of
from tests.rules.test_requeue import DISK, NIC, SUBNET, Result, Trace
from tests.virtual_time import in_virtual_time

MANY = [Ref("block-storage", f"d{n}") for n in range(200)]
OUTAGE_S = 60.0


def now() -> float:
    return asyncio.get_running_loop().time()


async def probing(trace: Trace, seconds: float) -> None:
    probes = asyncio.create_task(trace.reconcilers._probe_outages())
    await asyncio.sleep(seconds)
    probes.cancel()


def down_for(seconds: float, failure: Callable[[], Exception]) -> Callable[[Ref, int], Result]:
    return lambda ref, before: failure() if now() < seconds else None


FAILURES: list[Callable[[], Exception]] = [
    lambda: CloudUnavailable("503"),
    lambda: ConnectionRefusedError("no cloud"),
    lambda: TimeoutError(),
    lambda: LogUnavailable("no leader"),
    lambda: Unavailable("the read model is behind"),
    lambda: ConnectionDoesNotExistError("the database restarts"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_after_an_outage_of_a_minute_everything_is_tried_within_seconds(
    failure: Callable[[], Exception],
) -> None:
    @in_virtual_time
    async def scene() -> None:
        trace = Trace(down_for(OUTAGE_S, failure))
        trace.add(*MANY)
        await trace.during(OUTAGE_S + 30, probing(trace, OUTAGE_S + 30))
        last = max(times[-1] for times in trace.times.values())
        assert OUTAGE_S <= last <= OUTAGE_S + PROBE_S_MAX + SPREAD_S
        assert (trace.reconcilers.failures, trace.reconcilers.done) == ({}, len(MANY))

    scene()


@in_virtual_time
async def test_without_probes_the_backoff_would_go_on() -> None:
    trace = Trace(down_for(OUTAGE_S, lambda: CloudUnavailable("503")))
    trace.add(DISK)
    await trace.during(OUTAGE_S + 90)
    assert trace.times[DISK][-1] > OUTAGE_S + 30


@in_virtual_time
async def test_an_outage_costs_one_call_in_one_to_two_seconds_besides_the_backoff() -> None:
    trace = Trace(down_for(10_000, lambda: CloudUnavailable("503")))
    trace.add(*MANY)
    await trace.during(600, probing(trace, 600))
    late = [at for times in trace.times.values() for at in times if at >= 300]
    assert len(late) <= len(MANY) * 300 / 60 + 300 / PROBE_S_MIN


@in_virtual_time
async def test_the_addresses_are_spread_after_an_outage() -> None:
    trace = Trace(down_for(OUTAGE_S, lambda: CloudUnavailable("503")))
    trace.add(*MANY)
    await trace.during(OUTAGE_S + 30, probing(trace, OUTAGE_S + 30))
    first = min(times[-1] for times in trace.times.values())
    tenths = [int(10 * (times[-1] - first)) for times in trace.times.values()]
    assert max(map(tenths.count, range(10))) < len(MANY) / 4


@in_virtual_time
async def test_the_success_of_an_address_that_did_not_fail_in_it_ends_no_outage() -> None:
    """Such an address may not need the cloud at all."""

    def script(ref: Ref, before: int) -> Result:
        return None if ref == SUBNET else CloudUnavailable("503")

    trace = Trace(script)

    async def others() -> None:
        for _ in range(100):
            await asyncio.sleep(1)
            trace.add(SUBNET)

    trace.add(DISK)
    await trace.during(120, others())
    assert len(trace.times[DISK]) == 10


@in_virtual_time
async def test_an_answer_that_lags_is_asked_for_again_soon_and_is_no_failure() -> None:
    trace = Trace(lambda ref, before: OutdatedAnswer("older") if before < 20 else None)
    trace.add(DISK)
    await trace.during(50)
    assert trace.times[DISK] == [round(0.2 * n, 3) for n in range(21)]
    assert trace.reconcilers.failures == {}


@pytest.mark.parametrize("answer", [None, FenceRejected("older"), ValueError("a bug")])
def test_every_outcome_but_another_outage_shows_that_the_system_answers(answer: Result) -> None:
    def script(ref: Ref, before: int) -> Result:
        if now() < OUTAGE_S:
            return CloudUnavailable("503")
        return answer if ref == DISK else None

    @in_virtual_time
    async def scene() -> None:
        trace = Trace(script)
        trace.add(DISK, NIC)

        async def woken() -> None:
            await asyncio.sleep(OUTAGE_S)
            trace.add(DISK)

        await trace.during(OUTAGE_S + 5, woken())
        assert OUTAGE_S <= trace.times[NIC][-1] <= OUTAGE_S + SPREAD_S

    scene()


def test_the_end_of_one_outage_leaves_the_others() -> None:
    outages = OutageBackoff(lambda: 0.5)
    outages.failed(DISK, System.CLOUD)
    outages.failed(NIC, System.LOG)
    outages.failed(SUBNET, System.LOG)
    assert [each.ref for each in outages.succeeded(NIC)] == [SUBNET]
    assert outages.probes() == [DISK]
    assert outages.succeeded(DISK) == []
    assert outages.probes() == []


def test_probes_take_turns() -> None:
    outages = OutageBackoff()
    for ref in (DISK, NIC, SUBNET):
        outages.failed(ref, System.CLOUD)
    assert [outages.probes() for _ in range(4)] == [[DISK], [NIC], [SUBNET], [DISK]]
    assert PROBE_S_MIN <= outages.probe_delay_s() <= PROBE_S_MAX


def test_an_address_that_fails_alone_is_tried_more_and_more_rarely() -> None:
    """The cloud answers 500 for one address, and others fail for a short time and succeed."""
    outages = OutageBackoff(Random(1).random)
    longest = []
    for _ in range(12):
        outages.failed(DISK, System.CLOUD)
        outages.failed(NIC, System.CLOUD)
        (release,) = outages.succeeded(NIC)
        longest.append(release.seconds)
    assert max(longest[:2]) < 2 * SPREAD_S
    assert max(longest[6:]) > SPREAD_S_MAX / 2
    assert max(longest) <= SPREAD_S_MAX
    outages.succeeded(DISK)
    outages.failed(DISK, System.CLOUD)
    outages.failed(NIC, System.CLOUD)
    assert outages.succeeded(NIC)[0].seconds <= SPREAD_S


@pytest.mark.parametrize(
    ("failure", "system"),
    [
        (CloudUnavailable("503"), System.CLOUD),
        (TimeoutError(), System.CLOUD),
        (ConnectionRefusedError(), System.CLOUD),
        (LogUnavailable(), System.LOG),
        (Unavailable("the read model is behind"), System.ROWS),
        (ConnectionDoesNotExistError(), System.ROWS),
        (ValueError("a bug"), None),
    ],
)
def test_a_failure_names_the_system_that_is_down(failure: Exception, system: System | None) -> None:
    assert system_of(failure) is system


def test_a_refused_command_names_the_log_if_the_log_did_not_answer() -> None:
    with pytest.raises(Unavailable) as refused:
        raise Unavailable("try again") from LogUnavailable("no leader")
    assert system_of(refused.value) is System.LOG
