"""The processes without an API: reconcilers, and the simulated cloud."""

import asyncio
import logging
import os
from pathlib import Path

from secaplane.cli.config import BadConfig, Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import (
    ProcessDependencies,
    process_dependencies,
    retrying,
    sealer,
)
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.wiring import command_dependencies, load_owned
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.connection_errors import CONNECTION_ERRORS
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.plugins.loading import PluginNotUsable, load_plugin
from secaplane.plugins.plugin import Plugin
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers import catalogue
from secaplane.reconcilers.dependencies import ReconcileDependencies
from secaplane.reconcilers.fences import FenceSource, next_epoch
from secaplane.reconcilers.run import Reconcilers

POLL_S = 0.02
CATALOGUE_EVERY_S = 60.0
BACKGROUND_NICE = 10
"""Reconcilers run at low priority: processes that answer users go first."""
log = logging.getLogger("secaplane.workers")
_NOT_PUBLISHED = (
    Refusal,
    LogUnavailable,
    catalogue.CatalogueUnavailable,
    ValueError,  # an entry does not match its kind
    *DATABASE_UNAVAILABLE,
)


async def run_reconcilers(config: Config, announce: Announce) -> None:
    os.nice(BACKGROUND_NICE)
    metrics = Metrics()
    plugin = configured_plugin(config)
    async with (
        process_dependencies(config, writes_log=True) as process,
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
        group.create_task(reconcilers.run())
        group.create_task(_publish(process, config, dependencies, plugin, published))

        def readiness() -> Readiness:
            reasons = [] if reconcilers.started else ["not started"]
            if not published.is_set():
                reasons.append("the catalogue is not published")
            if not process.nats.is_connected:
                reasons.append("the log is unavailable")
            details = {"queue": len(reconcilers.queue), "failing": len(reconcilers.failures)}
            return Readiness(not reasons, reasons, details=details)

        try:
            async with monitored(config, readiness, metrics) as monitor:
                await published.wait()
                announce(Announcement(monitor=monitor))
                await asyncio.Event().wait()
        finally:
            await plugin.close()


def configured_plugin(config: Config) -> Plugin:
    """Raises BadConfig where the plugin is not installed or refuses its settings."""
    try:
        return load_plugin(config.cloud.plugin, config.cloud.plugin_settings())
    except PluginNotUsable as error:
        raise BadConfig(f"cloud.plugin: {error}") from error


async def _next_epoch(process: ProcessDependencies, config: Config) -> int:
    stream, replicas = config.nats.stream, config.nats.replicas
    return await retrying(
        lambda: next_epoch(process.nats, stream=stream, replicas=replicas), *CONNECTION_ERRORS
    )


def _watch_reconcilers(metrics: Metrics, reconcilers: Reconcilers) -> None:
    gauges = {
        "reconcile_queue": ("Addresses in the work queue", lambda: len(reconcilers.queue)),
        "reconcile_failing": (
            "Addresses whose last reconciliation failed, requeued with backoff",
            lambda: len(reconcilers.failures),
        ),
        "reconciled_total": ("Successful reconciliations", lambda: reconcilers.done),
    }
    for name, (help_text, value) in gauges.items():
        metrics.gauge(name, help_text).set_function(value)


async def _publish(
    process: ProcessDependencies,
    config: Config,
    dependencies: ReconcileDependencies,
    plugin: Plugin,
    published: asyncio.Event,
) -> None:
    """Publish the catalogue at the start, and every minute."""
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


async def run_cloud(config: Config, announce: Announce) -> None:
    from secaplane.plugins.simulated import server

    os.nice(BACKGROUND_NICE)
    host, _, port = config.cloud.url.removeprefix("http://").partition(":")
    try:
        await server.run(
            host=host,
            port=int(port or 0),
            file=Path(config.cloud.file),
            catalogue=Path(config.cloud.catalogue) if config.cloud.catalogue else None,
            region=config.site.region,
            faults=config.cloud.faults or None,
            announce=lambda actual: announce(Announcement(port=actual)),
        )
    except ValueError as error:
        raise BadConfig(f"cloud: {error}") from error
