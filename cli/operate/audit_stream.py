"""`secaplane audit stream`: exports events and audit entries to a SIEM."""

import asyncio
import ssl
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from msgspec.structs import replace
from nats.aio.client import Client

from secaplane.audit.siem.export import Export
from secaplane.audit.siem.export_state import (
    ExportState,
    StateFile,
    StateUnusable,
    positions_of,
)
from secaplane.audit.siem.formats import ExportingSite, FormatName, line
from secaplane.audit.siem.http_sink import HttpSink
from secaplane.audit.siem.sinks import FileSink, OutputSink, Sink, SinkClosed
from secaplane.audit.siem.source import JetStreamSource
from secaplane.audit.siem.syslog import SyslogAddress, SyslogSink
from secaplane.audit.stream import stream_name
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import CONNECT_S_MAX, connect_nats, now, streams
from secaplane.cli.processes.keys import event_seals, key_store, refuse_clear
from secaplane.cli.processes.lifecycle.process_life import release
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.running import StopRequest
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.jetstream.log import JetStreamLog
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.position import BEGINNING, Position, parse_all
from secaplane.sealing.keys.key_store import KeysUnavailable

SYSLOG_PORT, SYSLOG_TLS_PORT = 601, 6514
"""RFC 6587, RFC 5425."""
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class ExportRequest:
    """The options of the command; empty where one is not given."""

    format: FormatName
    to: str = ""
    state: str = ""
    after: str = ""
    once: bool = False
    ca: str = ""
    headers: str = ""
    monitor: int | None = None


async def export(config: Config, asked: ExportRequest, stop: StopRequest) -> int:
    """Exit status 1 if the reader of standard output is gone.

    Raises:
        BadConfig: an option, the state file or the sink cannot be used.
        LogUnavailable: NATS does not answer.
    """
    state = _state_file(asked)
    try:
        kept = state.take() if state else None
        positions = _positions(config, asked, kept)
        sink = _sink(asked, kept)
        try:
            client = await _connected(config, once=asked.once)
            try:
                return await _exported(config, asked, stop, client, sink, positions, state)
            finally:
                await client.close()
        finally:
            with suppress(OSError):
                await sink.close()
    except StateUnusable as error:
        raise BadConfig(str(error)) from error
    finally:
        if state:
            state.close()


async def _exported(
    config: Config,
    asked: ExportRequest,
    stop: StopRequest,
    client: Client,
    sink: Sink,
    positions: Mapping[str, Position],
    state: StateFile | None,
) -> int:
    try:
        await refuse_clear(config, key_store(config, client))
    except KeysUnavailable as error:
        raise LogUnavailable(str(error)) from error
    log = JetStreamLog(
        client,
        streams=streams(config),
        region=config.site.region,
        seals=event_seals(config, client, now),
    )
    source = JetStreamSource(client, log)
    try:
        for each in positions.values():
            if each:
                await source.refuse_ahead(each)
    except ValueError as error:
        raise BadConfig(str(error)) from error
    if asked.once:
        positions = {name: at for name, at in positions.items() if await source.exists(name)}
    write = partial(line, asked.format, site=ExportingSite(config.site.region, release()))
    exporting = Export(source, sink, write, positions=positions, state=state)
    metrics = Metrics()
    _watch(metrics, exporting)
    settings = replace(config.monitor, port=asked.monitor, check_port=None)
    async with monitored(replace(config, monitor=settings), partial(_ready, exporting), metrics):
        return await _until_stopped(exporting, stop, once=asked.once)


async def _until_stopped(exporting: Export, stop: StopRequest, *, once: bool) -> int:
    status = 0
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(exporting.run(to_the_end=once))
            stopping = group.create_task(stop.received())
            await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            stopping.cancel()
    except* SinkClosed as closed:
        print(f"secaplane: {leaf(closed)}", file=sys.stderr)
        status = 1
    except* StateUnusable as unusable:
        raise BadConfig(str(leaf(unusable))) from unusable
    return status


def leaf(error: BaseException) -> BaseException:
    """The first exception in groups of groups."""
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def _watch(metrics: Metrics, exporting: Export) -> None:
    metrics.counter(
        "export_events", "Events and entries that the sink has", lambda: exporting.delivered
    )
    metrics.counter(
        "export_failures", "Deliveries that the sink did not take", lambda: exporting.failed
    )
    reached = metrics.labelled_gauge(
        "export_position", "Position up to which the sink has everything", "stream"
    )
    for stream in exporting.positions:
        reached.labels(stream).set_function(partial(_sequence, exporting, stream))


def _sequence(exporting: Export, stream: str) -> int:
    return exporting.positions[stream].sequence


def _ready(exporting: Export) -> Readiness:
    reasons = [f"the sink does not take events: {exporting.reason}"] if exporting.reason else []
    positions = {name: each.sequence for name, each in exporting.positions.items()}
    details = {"positions": positions, "delivered": exporting.delivered}
    return Readiness(not reasons, reasons, [], details)


# --- options


async def _connected(config: Config, *, once: bool) -> Client:
    """A client; without `once` it is awaited without end, as by a process."""
    try:
        async with asyncio.timeout(CONNECT_S_MAX if once else None):
            return await connect_nats(config)
    except TimeoutError as error:
        raise BadConfig("nats.url: NATS does not answer") from error


def _positions(
    config: Config, asked: ExportRequest, kept: ExportState | None
) -> dict[str, Position]:
    """By stream; those of the state, or those of `--after`."""
    if asked.after and kept is not None:
        raise BadConfig("--after: the state file has a position already")
    try:
        named = parse_all(asked.after) if asked.after else ()
    except ValueError as error:
        raise BadConfig(f"--after: {error}") from error
    begins = positions_of(kept) if kept is not None else {each.stream: each for each in named}
    names = (*streams(config).names, stream_name(config.nats.stream))
    for stream in begins:
        if stream not in names:
            raise BadConfig(f"{stream} is no stream of this log; it has {', '.join(names)}")
    return {name: begins.get(name, BEGINNING) for name in names}


def _state_file(asked: ExportRequest) -> StateFile | None:
    if asked.state:
        return StateFile(Path(asked.state))
    if not asked.to:
        return None
    if "://" in asked.to:
        raise BadConfig("--state: an export to another machine needs a state file")
    return StateFile(Path(f"{asked.to}.state"))


def _sink(asked: ExportRequest, kept: ExportState | None) -> Sink:
    """Raises BadConfig, StateUnusable."""
    if not asked.to:
        return OutputSink()
    if "://" not in asked.to:
        return FileSink(Path(asked.to), kept)
    try:
        url = urlsplit(asked.to)
        port, host = url.port, url.hostname or ""
    except ValueError as error:
        raise BadConfig(f"--to: {error}") from error
    if url.scheme == "syslog" and host:
        return SyslogSink(SyslogAddress(host, port or SYSLOG_PORT, None))
    if url.scheme == "syslog+tls" and host:
        return SyslogSink(SyslogAddress(host, port or SYSLOG_TLS_PORT, _tls(asked.ca)))
    if (url.scheme == "https" and host) or (url.scheme == "http" and host in LOOPBACK):
        return HttpSink(
            asked.to,
            headers=_headers(asked.headers),
            tls=_tls(asked.ca) if url.scheme == "https" else None,
            cloudevents=asked.format == "cloudevents",
        )
    raise BadConfig(
        "--to takes a file, syslog://HOST:PORT, syslog+tls://HOST:PORT or https://...; http:// to "
        "this machine alone"
    )


def _tls(ca: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"--ca: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _headers(file: str) -> dict[str, str]:
    if not file:
        return {}
    try:
        lines = [each for each in Path(file).read_text().splitlines() if each.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"--headers: {error}") from error
    if not all(":" in each for each in lines):
        raise BadConfig("--headers: a line is `Name: value`")
    pairs = (each.partition(":") for each in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
