"""The implementations of `Log` that the tests of its contract run against."""

from collections.abc import AsyncIterator

import pytest

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import Log
from secaplane.eventlog.memory import MemoryLog
from secaplane.eventlog.monotonic import MonotonicLog
from secaplane.eventlog.streams import Streams
from tests.log.lagging import LaggingLog
from tests.log.new_events import REGION
from tests.servers import STREAM, connected, emptied


@pytest.fixture(params=["memory", "lagging", "jetstream"])
async def log(request: pytest.FixtureRequest) -> AsyncIterator[Log]:
    if request.param == "memory":
        yield MemoryLog(REGION)
        return
    if request.param == "lagging":
        yield MonotonicLog(LaggingLog(MemoryLog(REGION)))
        return
    async with connected(request.getfixturevalue("nats_url")) as client:
        await emptied(client)
        made = JetStreamLog(client, streams=Streams(STREAM), region=REGION)
        await made.prepare()
        yield made
