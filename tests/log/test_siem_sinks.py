"""Syslog and HTTP as sinks, against real receivers that fail now and then: nothing is lost, and
what is repeated has the same bytes."""

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from secaplane.audit.siem.http_sink import HttpSink
from secaplane.audit.siem.records import SiemRecord
from secaplane.audit.siem.sinks import ExportedLine, Sink, SinkUnavailable
from secaplane.audit.siem.syslog import SyslogAddress, SyslogSink, message, printable_ascii
from secaplane.cli.dev.embedded import HOST
from tests.flows import certificates
from tests.log.receivers import http_server, syslog_server

TIME = datetime(2026, 1, 1, 12, 0, 0, 5000, tzinfo=UTC)


def lines(first: int, number: int) -> list[ExportedLine]:
    return [
        ExportedLine(
            SiemRecord(
                id=f"SECA:{n}",
                type="created",
                time=TIME,
                stream="SECA",
                sequence=n,
                outcome="success",
            ),
            f'{{"id":"SECA:{n}","text":"é\u2028"}}'.encode(),
        )
        for n in range(first, first + number)
    ]


async def delivered(sink: Sink, batches: Sequence[list[ExportedLine]]) -> int:
    """Each batch until the sink takes it; how often it did not."""
    failures = 0
    for whole in batches:
        batch = whole
        for _ in range(10):
            try:
                await sink.deliver(batch)
            except SinkUnavailable as error:
                failures, batch = failures + 1, batch[error.taken :]
            else:
                break
        else:
            raise AssertionError("never taken")
    await sink.close()
    return failures


def ids(number: int) -> set[str]:
    return {f"SECA:{n}" for n in range(number)}


async def test_syslog_messages_are_framed_and_repeated_until_the_receiver_has_read_them() -> None:
    async with syslog_server(fails=lambda number: number % 3 == 1) as received:
        sink = SyslogSink(SyslogAddress(HOST, received.port, None), "host")
        batches = [lines(n, 50) for n in range(0, 500, 50)]
        assert await delivered(sink, batches) == received.failures > 0
    assert {each["id"] for each in received.events} == ids(500)
    assert received.headers[0] == {
        "priority": str(13 * 8 + 6),
        "time": "2026-01-01T12:00:00.005000Z",
        "type": "created",
    }


async def test_a_large_delivery_that_the_receiver_does_not_read_is_not_taken() -> None:
    """Buffers of the two kernels would hold a part of it."""
    async with syslog_server(fails=lambda _: True) as received:
        sink = SyslogSink(SyslogAddress(HOST, received.port, None))
        with pytest.raises(SinkUnavailable):
            await sink.deliver(lines(0, 20_000))


async def test_syslog_over_tls_verifies_the_receiver(tmp_path: Path) -> None:
    folder = certificates.made(tmp_path / "tls")
    own = certificates.settings(folder, "nats")
    offered = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    offered.load_cert_chain(own.certificate, own.key)
    async with syslog_server(fails=lambda number: number == 1, tls=offered) as received:
        trusting = SyslogAddress(HOST, received.port, certificates.trusting(folder))
        assert await delivered(SyslogSink(trusting), [lines(0, 50), lines(50, 50)]) >= 1
        assert {each["id"] for each in received.events} == ids(100)
        stranger = SyslogAddress(HOST, received.port, ssl.create_default_context())
        with pytest.raises(SinkUnavailable, match="certificate"):
            await SyslogSink(stranger).deliver(lines(0, 1))


async def test_a_receiver_that_is_not_there_takes_nothing() -> None:
    async with syslog_server() as received:
        port = received.port
    with pytest.raises(SinkUnavailable):
        await SyslogSink(SyslogAddress(HOST, port, None)).deliver(lines(0, 1))
    sink = HttpSink(f"http://{HOST}:{port}/events", headers={}, tls=None, cloudevents=False)
    with pytest.raises(SinkUnavailable):
        await sink.deliver(lines(0, 1))
    await sink.close()


@pytest.mark.parametrize("cloudevents", [False, True])
async def test_http_is_repeated_until_2xx_and_divided_at_413(cloudevents: bool) -> None:
    def status(number: int, events: int) -> int:
        return 413 if events > 20 else 503 if number % 4 == 0 else 200

    async with http_server(status) as received:
        url = f"http://{HOST}:{received.port}/events"
        sink = HttpSink(
            url, headers={"Authorization": "Splunk t"}, tls=None, cloudevents=cloudevents
        )
        assert await delivered(sink, [lines(n, 50) for n in range(0, 500, 50)]) > 0
    assert {each["id"] for each in received.events} == ids(500)
    assert received.headers[0]["Authorization"] == "Splunk t"
    kind = "application/cloudevents-batch+json" if cloudevents else "application/x-ndjson"
    assert received.headers[0]["Content-Type"].startswith(kind)


@pytest.mark.parametrize("answer", [301, 400, 401, 404, 413, 500])
async def test_only_2xx_says_that_the_receiver_has_an_event(answer: int) -> None:
    async with http_server(lambda number, events: answer) as received:
        url = f"http://{HOST}:{received.port}/events"
        sink = HttpSink(url, headers={}, tls=None, cloudevents=False)
        with pytest.raises(SinkUnavailable, match=str(answer)):
            await sink.deliver(lines(0, 1))
        await sink.close()


def test_a_syslog_header_has_no_text_that_could_be_taken_for_another_field() -> None:
    assert printable_ascii("a b\nc\u00e9", 255) == "abc"
    assert printable_ascii("", 255) == "-"
    (each,) = lines(1, 1)
    assert message(each, "h").startswith(
        b"<110>1 2026-01-01T12:00:00.005000Z h secaplane - created - {"
    )
