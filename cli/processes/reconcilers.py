"""The reconcilers process: drives the cloud through a plugin and publishes its catalogue."""

import asyncio
import logging

from secaplane.cli.config import BadConfig, Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    ProcessDependencies,
    process_dependencies,
    retrying,
    sealer,
)
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.wiring import command_dependencies, load_owned, watching
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.plugins.loading import PluginNotUsable, load_plugin
from secaplane.plugins.plugin import Plugin
from secaplane.policy.watch import PolicyWatch
from secaplane.readmodel.backlog import announce_backlog
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers import catalogue
from secaplane.reconcilers.deferred_roles import report_unbound
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource, next_epoch
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


async def run(config: Config, announce: Announce) -> None:
    metrics = Metrics()
    plugin = configured_plugin(config)
    async with (
        process_dependencies(config, writes_log=True, shares_syncs=True) as process,
        asyncio.TaskGroup() as group,
    ):
        dependencies = ReconcileDependencies(
            command_dependencies(process, config),
            plugin,
            FenceSource(await _next_epoch(process, config)),
            sealer(config),
            load_owned(process),
        )
        reconcilers = Reconcilers(dependencies, process.log, process.pool)
        published = asyncio.Event()
        _watch_reconcilers(metrics, reconcilers)
        group.create_task(process.log.share_syncs())
        group.create_task(reconcilers.run())
        waits = reconcilers.queue.waits
        group.create_task(announce_backlog(process.nats, config.nats.stream, waits))
        group.create_task(_publish(process, config, dependencies, plugin, published))
        if config.references.role_assignment_roles == "deferred":
            watch = PolicyWatch(process.log, process.cache, stale_s=config.auth.stale_seconds)
            policy = watching(config, watch)
            group.create_task(report_unbound(dependencies, watch, policy, process.pool))

        def readiness() -> Readiness:
            reasons = [] if reconcilers.started else ["not started"]
            if not published.is_set():
                reasons.append("the catalogue is not published")
            if not process.nats.is_connected:
                reasons.append("the log is unavailable")
            details = {
                "queue": len(reconcilers.queue),
                "failing": len(reconcilers.failures),
                "parked": len(reconcilers.parked),
            }
            return Readiness(not reasons, reasons, work_remarks(reconcilers), details)

        try:
            async with monitored(config, readiness, metrics) as monitor:
                await published.wait()
                announce(Announcement(monitor=monitor))
                await asyncio.Event().wait()
        finally:
            await plugin.close()


def work_remarks(reconcilers: Reconcilers) -> list[str]:
    """Resources that cannot be reconciled now, in numbers."""
    remarks = []
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


async def _next_epoch(process: ProcessDependencies, config: Config) -> int:
    stream, replicas = config.nats.stream, config.nats.replicas
    return await retrying(
        lambda: next_epoch(process.nats, stream=stream, replicas=replicas),
        *CONNECTION_ERRORS,
        awaited="an epoch",
    )


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
            log.warning("catalogue not published", extra={"reason": repr(error)})
        await asyncio.sleep(CATALOGUE_EVERY_S if published.is_set() else POLL_S * 10)
