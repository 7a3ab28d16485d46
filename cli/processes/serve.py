"""The processes that serve the API: command, query, or both on one port."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Literal

import asyncpg
from litestar.handlers import HTTPRouteHandler

from secaplane.audit.stream import AuditStream
from secaplane.audit.writer import AuditWriter, running
from secaplane.cli.config import Config
from secaplane.cli.processes.activity import activity_dependencies
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.audit import audit_recorder, audit_writer
from secaplane.cli.processes.connections import (
    ProcessDependencies,
    now,
    page_keys,
    process_dependencies,
    required_sealers,
    retrying,
)
from secaplane.cli.processes.exports import HistoryExports
from secaplane.cli.processes.heads_publication import HeadsPublication
from secaplane.cli.processes.health import HealthProbe, Served, judged, judged_integrity
from secaplane.cli.processes.history import HistoryPool, KnownEnds
from secaplane.cli.processes.issuers import TrustedIssuers, trusted_issuers
from secaplane.cli.processes.log_guard import compare_log
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.reconnection import Reconnection, connection_number
from secaplane.cli.processes.resource_log import CachedResourceLog
from secaplane.cli.processes.shown_actors import erased, shown_actor
from secaplane.cli.processes.stopping import Start, background_tasks, not_ready_when_stopping
from secaplane.cli.processes.wiring import command_dependencies, watching
from secaplane.cli.running import StopRequest
from secaplane.command.body import BodyReader
from secaplane.command.handle import UNKNOWN
from secaplane.command.http import reviews, undo
from secaplane.command.http import routes as writes
from secaplane.command.submit import SubmitDependencies
from secaplane.edge.documents import openapi, swagger, wellknown
from secaplane.edge.guard import Guard
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.requests.large_bodies import LargeBodies
from secaplane.edge.requests.rates import RateLimits
from secaplane.edge.serving import app, health
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Unavailable
from secaplane.model.kind import Kind
from secaplane.model.position import Position, written
from secaplane.model.shape import Ref
from secaplane.policy.tokens.revocations import KINDS_OF_REVOCATION, Revocations
from secaplane.policy.watch import PolicyWatch
from secaplane.query import exports
from secaplane.query import http as reads
from secaplane.query.activity import http as activity_reads
from secaplane.query.by_name import ByName
from secaplane.query.history import http as history_reads
from secaplane.query.history.read import HistoryDependencies
from secaplane.query.history.rights import policy_as_of
from secaplane.query.read import ReadDependencies
from secaplane.readmodel import questions
from secaplane.readmodel.backlog import Backlog, listen_to_backlog
from secaplane.readmodel.batching import BatchedReads
from secaplane.readmodel.history_share import HistoryShare
from secaplane.readmodel.known_writes import KnownWrites
from secaplane.readmodel.progress import REACHED_S_MAX
from secaplane.readmodel.readers import ReaderPresence
from secaplane.sealing.life_sealers import Sealed
from secaplane.sealing.sealer import Sealer

Side = Literal["command", "query", "serve"]
PROJECTOR_SILENT_S_MAX = 2.0


async def run(side: Side, config: Config, announce: Announce, stop: StopRequest) -> None:
    listening = listen(config.http.host, config.http.port)
    host, port = listening.getsockname()[:2]
    base_url = config.site.base_url or f"http://{host}:{port}"
    metrics, revocations = Metrics(), Revocations()
    async with (
        trusted_issuers(config, revocations, metrics) as trusted,
        process_dependencies(config, writes_log=side != "query") as process,
        background_tasks() as start,
    ):
        watch = PolicyWatch(process.log, process.cache, stale_s=config.auth.stale_seconds)
        policy = watching(config, watch)
        watch.subscribe(revocations, KINDS_OF_REVOCATION)
        await _started(watch, process, start)
        proxies = TrustedProxies(config.http.trusted_proxies)
        audit = audit_writer(process.nats, config, metrics, creates=side != "query")
        recorder = audit_recorder(config, audit, policy, proxies)
        guard = Guard(trusted.tokens, policy, recorder, _rates(config), proxies)
        served = Served(reads=side != "command", writes=side != "query")
        if served.writes:
            await compare_log(start, process, config, metrics)
        await _know_others(served, process, start)
        known = KnownWrites(process.progress, partial(connection_number, process.nats))
        start((probe := _probe(process, served, metrics, known)).run())
        ready = _readiness(served, process, watch, probe, trusted, audit)
        readiness = not_ready_when_stopping(ready, stop)
        details = config.monitor.port is None and (host.startswith("127.") or host == "::1")
        routes = [*health.routes(readiness, metrics, details=details), *_documents(base_url)]
        past = _history_dependencies(served, process, config, known, start)
        if side in ("command", "serve"):
            start(_heads_publication(process, config).run())
            submitting = await _submitting(process, config, guard, watch, metrics, base_url)
            routes += _write_routes(submitting, past, config)
        if side in ("query", "serve"):
            routes += _read_routes(process, config, guard, known, past, start)
        application = app.build(
            routes,
            metrics=metrics,
            recorder=recorder,
            dialect=config.site.refusals,
            sizes=app.RequestLimits(config.limits.url_bytes_max, config.limits.body_bytes_max),
        )
        limits, drain = config.limits.of_connections(proxies), config.stopping.drain()
        async with (
            running(audit),
            monitored(config, readiness, metrics) as monitor,
            serving(application, listening, limits, config.tls, drain),
        ):
            announce(Announcement(port=port, monitor=monitor))
            await stop.received()


def _heads_publication(process: ProcessDependencies, config: Config) -> HeadsPublication:
    audit = AuditStream(process.nats, stream=config.nats.stream)
    every = timedelta(minutes=config.notary.heads_minutes)
    return HeadsPublication(process.nats, audit, every, now)


async def _started(watch: PolicyWatch, process: ProcessDependencies, start: Start) -> None:
    await retrying(
        lambda: watch.start(process.pool), *POLICY_ERRORS, awaited="the authorization policy"
    )
    await retrying(lambda: _learn_positions(process), *POLICY_ERRORS, awaited="the log's end")
    start(watch.run())


def _probe(
    process: ProcessDependencies, served: Served, metrics: Metrics, known: KnownWrites
) -> HealthProbe:
    silent = metrics.gauge(
        "projector_silent_seconds", "Seconds since the projector announced a position"
    )
    silent.set_function(lambda: process.progress.silent_s)
    progress = process.progress
    return HealthProbe(
        process.log,
        process.pool,
        progress.position,
        metrics,
        know=progress.know,
        writes=known if served.reads else None,
        appending=process.jetstream if served.writes else None,
    )


async def _know_others(served: Served, process: ProcessDependencies, start: Start) -> None:
    """Writers learn of readers, and all learn how far the log is: a reader announces itself before
    that, so that it misses no acknowledgement after it. What only reads gives its rows a bounded
    time to reach that end before it is ready."""
    if served.writes:
        await process.acknowledgements.listen_to_readers()
    if served.reads:
        process.acknowledgements.confirm()
        presence = ReaderPresence(process.nats, process.replica, process.acknowledgements.id)
        await presence.listen()
        await presence.announce()
        start(presence.run())
    await retrying(lambda: _learn_positions(process), *POLICY_ERRORS, awaited="the log's end")
    if not served.writes:
        ends = [process.progress.newest(stream) for stream in process.log.streams.names]
        await process.progress.reached([each for each in ends if each], patient=True)


async def _followed_backlog(
    process: ProcessDependencies, config: Config, metrics: Metrics
) -> Backlog:
    backlog = Backlog()
    await listen_to_backlog(process.nats, config.nats.stream, backlog)
    waiting = metrics.gauge(
        "backlog_seconds", "Longest wait for a reconciler that delays accepted writes; else 0"
    )
    waiting.set_function(lambda: backlog.longest_s)
    return backlog


async def _learn_positions(process: ProcessDependencies) -> None:
    """Learn how far rows and log are: from here on, what is not projected yet is known to be."""
    for reached in (await questions.checkpoints(process.pool)).values():
        process.progress.announce(reached)
    await process.acknowledgements.listen(process.log.streams.names)
    for stream in process.log.streams.names:
        process.progress.know(await process.log.end(stream))


def _documents(base_url: str) -> list[HTTPRouteHandler]:
    """Pages that need no token."""
    return [*openapi.routes(base_url), *swagger.routes(), *wellknown.routes(base_url)]


def _rates(config: Config) -> RateLimits | None:
    limits = config.limits
    if not limits.caller_per_second and not limits.tenant_per_second:
        return None
    return RateLimits(
        caller_per_second=limits.caller_per_second,
        caller_burst=limits.caller_burst,
        tenant_per_second=limits.tenant_per_second,
        tenant_burst=limits.tenant_burst,
    )


POLICY_ERRORS = (
    LogUnavailable,
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
)


def _write_routes(
    submitting: SubmitDependencies, past: HistoryDependencies, config: Config
) -> list[HTTPRouteHandler]:
    policy_then = partial(policy_as_of, past, config.auth.operators)
    return [
        *writes.routes(submitting),
        *undo.routes(submitting),
        *reviews.routes(submitting.guard, submitting.large_bodies, policy_then),
    ]


async def _submitting(
    process: ProcessDependencies,
    config: Config,
    guard: Guard,
    watch: PolicyWatch,
    metrics: Metrics,
    base_url: str,
) -> SubmitDependencies:
    backlog = await _followed_backlog(process, config, metrics)

    async def projected(ref: Ref, tenants: Sequence[str], positions: Sequence[Position]) -> None:
        waits = config.writes.wait_for_projection
        appended_at = asyncio.get_running_loop().time()
        shown = waits and await process.progress.reached(positions)
        if not shown or process.acknowledgements.readers.elsewhere:
            await process.acknowledgements.publish(
                ref, tenants, positions, appended_at=appended_at, elsewhere=shown
            )

    async def paced(tenant: str) -> None:
        delay_s = backlog.delay_s(tenant, config.writes.delay_seconds_max)
        if delay_s:
            await asyncio.sleep(delay_s)

    async def policy_changed() -> None:
        try:
            await watch.refresh()
        except LogUnavailable as error:
            raise Unavailable(UNKNOWN) from error

    return SubmitDependencies(
        commands=command_dependencies(process, config),
        guard=guard,
        sealers=required_sealers(process),
        bodies=BodyReader(region=config.site.region, extensions=config.site.extensions),
        large_bodies=LargeBodies(),
        region=config.site.region,
        base_url=base_url,
        projected=projected,
        paced=paced,
        policy_changed=policy_changed,
    )


def _read_routes(
    process: ProcessDependencies,
    config: Config,
    guard: Guard,
    known: KnownWrites,
    past: HistoryDependencies,
    start: Start,
) -> list[HTTPRouteHandler]:
    reading = _read_dependencies(process, config, known)
    start(reading.by_name.batched.run())
    return [
        *reads.routes(reading, past, guard),
        *history_reads.routes(past, guard),
        *activity_reads.routes(activity_dependencies(process, config, past), guard),
        *exports.routes(HistoryExports(process.nats, process.log, config), guard),
    ]


def _read_dependencies(
    process: ProcessDependencies, config: Config, known: KnownWrites
) -> ReadDependencies:
    async def reached(positions: Sequence[Position], patient: bool) -> bool:
        return await process.progress.reached(positions, seconds=REACHED_S_MAX, patient=patient)

    by_name = ByName(
        pool=process.pool,
        batched=BatchedReads(process.pool, compares=lambda: bool(process.progress.behind)),
        progress=process.progress,
        log=CachedResourceLog(process.log, process.cache),
        stream=process.log.streams.of,
        reached=reached,
        region=config.site.region,
        informed=lambda: known.complete and not process.replica.streaming,
        reconnected=Reconnection(process.nats).awaited,
        streaming=lambda: process.replica.streaming,
    )
    return ReadDependencies(
        lists=process.lists,
        by_name=by_name,
        opening=process.sealers.opening if process.sealers else _refuse_to_open,
        page_keys=page_keys(config),
    )


def _history_dependencies(
    served: Served,
    process: ProcessDependencies,
    config: Config,
    known: KnownWrites,
    start: Start,
) -> HistoryDependencies:
    """A process that only writes answers no page, and has no key of page tokens."""
    start((pool := HistoryPool(config)).run())

    def informed() -> bool:
        return known.complete and not process.replica.streaming

    return HistoryDependencies(
        share=HistoryShare(pool.pool),
        stream=process.log.streams.of,
        streams=process.log.streams.names,
        newest=KnownEnds(process.log, process.progress, informed).including,
        page_keys=page_keys(config) if served.reads else (),
        region=config.site.region,
        clock=now,
        open_actor=partial(shown_actor, process.jetstream.seals),
        erased=partial(erased, process.jetstream.seals),
    )


async def _refuse_to_open(kind: Kind, held: Sequence[Sealed]) -> Sealer:
    """For a `query` process without the keyring. It answers nothing rather than a resource without
    its secrets, which clients would take for a change."""
    raise Unavailable(f"this process cannot open the secrets of a {kind.name}: it has no keyring")


def _readiness(
    served: Served,
    process: ProcessDependencies,
    watch: PolicyWatch,
    probe: HealthProbe,
    trusted: TrustedIssuers,
    audit: AuditWriter,
) -> Callable[[], health.Readiness]:
    def readiness() -> health.Readiness:
        outages, attention = judged(served, probe.outages)
        no_writes, damaged = judged_integrity(served, process.log.inner.integrity)
        reasons = [*outages, *no_writes, *trusted.reasons]
        remarks = [*attention, *damaged, *probe.remarks, *trusted.remarks, *audit.remarks]
        remarks += process.announcements.remarks
        if not watch.fresh():
            reasons.append("the authorization policy is stale")
        if process.progress.silent_s > PROJECTOR_SILENT_S_MAX:
            remarks.append(
                f"the projector has announced no position for {process.progress.silent_s:.0f} s:"
                " lists may be stale"
            )
        details = {
            "replica": process.replica.details,
            "readModelPosition": written(map(process.progress.position, process.log.streams.names)),
            "projectionLag": probe.lag,
            "projectorSilentSeconds": round(process.progress.silent_s, 2),
            "audit": audit.figures,
        }
        return health.Readiness(not reasons, reasons, remarks, details)

    return readiness
