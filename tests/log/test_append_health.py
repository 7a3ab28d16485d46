"""Refused appends are noticed, also while no event is appended."""

import msgspec
import pytest
from nats.aio.client import Client

from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable, VersionConflict
from secaplane.eventlog.snapshots import KeyValueSnapshots
from secaplane.eventlog.streams import Streams
from secaplane.model.position import BEGINNING
from tests.log.appending import CREATED
from tests.log.new_events import ONE, REGION, TWO, new_event
from tests.positions import nth
from tests.servers import GLOBAL_STREAM, STREAM


async def snapshots(nats: Client) -> None:
    await KeyValueSnapshots(nats, stream=STREAM, region=REGION).prepare()


async def test_a_question_is_answered_and_records_nothing(
    nats_client: Client, fresh_stream: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream, GLOBAL_STREAM), region=REGION)
    await log.prepare()
    await snapshots(nats_client)
    for _ in range(3):
        await log.probe_appends()
    assert (log.appends.refused_s, log.appends.reason) == (0.0, "")
    for stream in (STREAM, GLOBAL_STREAM):
        assert await log.end(stream) == BEGINNING


async def test_a_question_without_an_answer_is_a_refusal(
    nats_client: Client, fresh_stream: str
) -> None:
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.probe_appends()
    assert log.appends.questions[STREAM].count == 1
    assert log.appends.count == 0
    await log.prepare()
    await log.probe_appends()
    assert log.appends.reason != "", "there is no bucket of snapshots"
    await snapshots(nats_client)
    await log.probe_appends()
    assert log.appends.reason == ""


async def test_events_that_a_full_stream_refuses_are_counted(
    nats_client: Client, fresh_stream: str
) -> None:
    full = {"name": fresh_stream, "subjects": ["seca.>"], "max_msgs": 1, "discard": "new"}
    question = msgspec.json.encode(full | {"allow_direct": True})
    await nats_client.request(f"$JS.API.STREAM.CREATE.{fresh_stream}", question)
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    await log.append(new_event(ONE, CREATED))
    for _ in range(2):
        with pytest.raises(LogUnavailable, match="maximum messages"):
            await log.append(new_event(TWO, CREATED))
    assert log.appends.count == 2
    assert log.appends.refused_s > 0
    assert "maximum messages" in log.appends.reason
    with pytest.raises(VersionConflict):
        await log.append(new_event(ONE, CREATED, previous=nth(7)))
    assert log.appends.refused_s > 0, "a conflict is found before the limits are"
    question = msgspec.json.encode(full | {"allow_direct": True, "max_msgs": 9})
    await nats_client.request(f"$JS.API.STREAM.UPDATE.{fresh_stream}", question)
    await log.append(new_event(TWO, CREATED))
    assert (log.appends.refused_s, log.appends.reason) == (0.0, "")


async def test_a_full_stream_is_noticed_while_no_event_is_appended(
    nats_client: Client, fresh_stream: str
) -> None:
    full = {"name": fresh_stream, "subjects": ["seca.>"], "max_bytes": 1000, "discard": "new"}
    question = msgspec.json.encode(full | {"allow_direct": True})
    await nats_client.request(f"$JS.API.STREAM.CREATE.{fresh_stream}", question)
    log = JetStreamLog(nats_client, streams=Streams(fresh_stream), region=REGION)
    found = await log.capacity()
    assert found.full_reason == f"the stream {STREAM} holds 0 of 1000 bytes"
    question = msgspec.json.encode(full | {"allow_direct": True, "max_bytes": 1_000_000})
    await nats_client.request(f"$JS.API.STREAM.UPDATE.{fresh_stream}", question)
    found = await log.capacity()
    assert (found.full_reason, found.remarks) == ("", [])
