"""The reconcilers process: drives the cloud through a plugin and publishes its catalogue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    ProcessDependencies,
    process_dependencies,
    required_sealers,
    retrying,
)
from secaplane.cli.processes.drift import DriftWork, repaired_kinds
from secaplane.cli.processes.log_guard import compare_log
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.stopping import background_tasks, not_ready_when_stopping
from secaplane.cli.processes.wiring import command_dependencies, load_owned, watching
from secaplane.cli.running import StopRequest
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.model.reasons import reason_of
from secaplane.plugins.loading import PluginNotUsable, load_plugin
from secaplane.plugins.plugin import Plugin
from secaplane.policy.watch import PolicyWatch
from secaplane.readmodel.backlog import announce_backlog
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers import catalogue
from secaplane.reconcilers.deferred_roles import report_unbound
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource
from secaplane.reconcilers.leases.bucket import NatsBucket
from secaplane.reconcilers.leases.lease import LeaseLost
from secaplane.reconcilers.leases.leases import ASSIGNMENT, Leases
from secaplane.reconcilers.leases.partitions import ALL, CATALOGUE, DEFERRED_ROLES
from secaplane.reconcilers.run import Reconcilers

POLL_S = 0.02
OVERDUE_S_MAX = 10.0
"""A resource that has waited longer for a worker is remarked: the cloud does not answer."""
CATALOGUE_EVERY_S = 60.0
log = logging.getLogger("secaplane.reconcilers")
_NOT_PUBLISHED = (
    Refusal,
    LogUnavailable,
    catalogue.CatalogueUnavailable,
    ValueError,  # an entry does not match its kind
    *DATABASE_UNAVAILABLE,
)


async def run(config: Config, announce: Announce, stop: StopRequest) -> None:
    metrics = Metrics()
    plugin = configured_plugin(config)
    async with (
        process_dependencies(config, writes_log=True, shares_syncs=True) as process,
        closed_at_the_end(plugin),
        leases_of(process, config, plugin) as leases,
        background_tasks() as start,
    ):
        dependencies = ReconcileDependencies(
            command_dependencies(process, config),
            plugin,
            FenceSource(0, _refuse),
            required_sealers(process),
            load_owned(process),
            repaired_kinds(config),
        )
        reconcilers = Reconcilers(dependencies, process.log, process.pool, leases)
        drift = DriftWork(process, config, reconcilers)
        published = asyncio.Event()
        await compare_log(start, process, config, metrics)
        _watch_reconcilers(metrics, reconcilers)
        start(leases.run())
        start(process.jetstream.share_syncs())
        start(reconcilers.run())
        waits = reconcilers.queue.waits
        start(announce_backlog(process.nats, config.nats.stream, waits))
        drift.start(start, metrics)
        publish = partial(_publish, process, config, dependencies, plugin, published)
        start(leases.while_held(CATALOGUE, publish))
        if config.references.role_assignment_roles == "deferred":
            report = partial(_report_unbound, process, config, dependencies)
            start(leases.while_held(DEFERRED_ROLES, report))

        readiness = partial(_readiness, process, reconcilers, drift, published)
        shown = not_ready_when_stopping(readiness, stop)
        async with monitored(config, shown, metrics) as monitor:
            start(_announce_when(readiness, announce, Announcement(monitor=monitor)))
            await stop.received()
            if not await reconcilers.in_flight.ended(config.stopping.in_flight_seconds):
                log.warning("calls cut short", extra={"number": len(reconcilers.in_flight)})


def _readiness(
    process: ProcessDependencies,
    reconcilers: Reconcilers,
    drift: DriftWork,
    published: asyncio.Event,
) -> Readiness:
    leases = reconcilers.leases
    reasons = [] if reconcilers.started else ["not started"]
    if not (published.is_set() or leases.held_by_another(CATALOGUE)):
        reasons.append("the catalogue is not published")
    if not process.nats.is_connected:
        reasons.append("the log is unavailable")
    details = {
        "partitions": leases.held,
        "queue": len(reconcilers.queue),
        "failing": len(reconcilers.failures),
        "parked": len(reconcilers.parked),
    }
    remarks = [*process.log.inner.integrity.findings, *work_remarks(reconcilers), *drift.remarks()]
    return Readiness(not reasons, reasons, remarks, details)


async def _announce_when(
    readiness: Callable[[], Readiness], announce: Announce, announcement: Announcement
) -> None:
    await _ready(readiness)
    announce(announcement)


@asynccontextmanager
async def closed_at_the_end(plugin: Plugin) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await plugin.close()


def work_remarks(reconcilers: Reconcilers) -> list[str]:
    """Resources that cannot be reconciled now, in numbers."""
    remarks = []
    without_holder = len(reconcilers.leases.assignment.without_holder)
    if without_holder:
        remarks.append(f"{without_holder} of {len(ALL)} partitions are held by no process")
    if reconcilers.queue.overdue_s > OVERDUE_S_MAX:
        seconds, queued = reconcilers.queue.overdue_s, len(reconcilers.queue)
        remarks.append(f"{queued} resources are queued, the first for {seconds:.0f} s")
    if reconcilers.failures:
        most = max(reconcilers.failures.values())
        remarks.append(
            f"{len(reconcilers.failures)} resources fail, one {most} times in succession"
        )
    if reconcilers.parked:
        parked = len(reconcilers.parked)
        remarks.append(f"{parked} resources need a history that cannot be read")
    return remarks


def configured_plugin(config: Config) -> Plugin:
    """Raises BadConfig where the plugin is not installed or refuses its settings."""
    try:
        return load_plugin(config.cloud.plugin, config.cloud.plugin_settings(config.tls.ca))
    except (PluginNotUsable, OSError, ValueError) as error:
        raise BadConfig(f"cloud.plugin: {error}") from error


@asynccontextmanager
async def leases_of(
    process: ProcessDependencies, config: Config, plugin: Plugin
) -> AsyncIterator[Leases]:
    """The leases of this process, for others to run; released at the end, so that other processes
    take over at once. The bucket is created if it does not exist."""
    bucket = NatsBucket(process.nats, stream=config.nats.stream)
    delay_s = 0.0 if plugin.compares_fences else plugin.request_s_max
    leases = Leases(bucket, first_call_delay_s=delay_s)

    async def prepare() -> None:
        await bucket.prepare(replicas=config.nats.replicas)
        await bucket.watch(ASSIGNMENT, leases.nudge)

    await retrying(prepare, *CONNECTION_ERRORS, awaited="the bucket of leases")
    try:
        yield leases
    finally:
        await leases.leave()


async def _ready(readiness: Callable[[], Readiness]) -> None:
    while True:
        if not readiness().reasons:
            return
        await asyncio.sleep(POLL_S)


def _refuse() -> None:
    raise LeaseLost("the cloud is called under the lease of a partition alone")


async def _report_unbound(
    process: ProcessDependencies, config: Config, dependencies: ReconcileDependencies
) -> None:
    watch = PolicyWatch(process.log, process.cache, stale_s=config.auth.stale_seconds)
    policy = watching(config, watch)
    await report_unbound(dependencies, watch, policy, process.pool)


def _watch_reconcilers(metrics: Metrics, reconcilers: Reconcilers) -> None:
    queued = metrics.gauge("reconcile_queue_length", "Resources in the work queue")
    queued.set_function(lambda: len(reconcilers.queue))
    failing = metrics.gauge(
        "reconcile_failing_resources", "Resources whose last reconciliation failed"
    )
    failing.set_function(lambda: len(reconcilers.failures))
    parked = metrics.gauge(
        "reconcile_parked_resources", "Resources that need a history that cannot be read"
    )
    parked.set_function(lambda: len(reconcilers.parked))
    overdue = metrics.gauge(
        "reconcile_overdue_seconds", "Seconds for which the first queued resource has waited"
    )
    overdue.set_function(lambda: reconcilers.queue.overdue_s)
    leases = reconcilers.leases
    held = metrics.gauge("reconcile_partitions_held", "Partitions that this process works on")
    held.set_function(lambda: leases.held)
    without = metrics.gauge(
        "reconcile_partitions_without_holder", "Partitions that no process works on"
    )
    without.set_function(lambda: len(leases.assignment.without_holder))
    members = metrics.gauge("reconcile_members", "Reconcilers processes that share the work")
    members.set_function(lambda: len(leases.assignment.members))
    metrics.counter("reconciliations", "Successful reconciliations", lambda: reconcilers.done)


async def _publish(
    process: ProcessDependencies,
    config: Config,
    dependencies: ReconcileDependencies,
    plugin: Plugin,
    published: asyncio.Event,
) -> None:
    """Publishes the catalogue as resources, at the start and every `CATALOGUE_EVERY_S` seconds."""
    base_url = config.site.base_url or f"http://{config.http.host}:{config.http.port}"
    while True:
        try:
            await catalogue.publish(
                dependencies.commands,
                process.pool,
                await catalogue.ask(plugin),
                base_url=base_url,
            )
            published.set()
        except _NOT_PUBLISHED as error:
            log.warning("catalogue not published", extra={"reason": reason_of(error)})
        await asyncio.sleep(CATALOGUE_EVERY_S if published.is_set() else POLL_S * 10)
