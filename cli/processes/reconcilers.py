"""The reconcilers process: drives the cloud through a plugin and publishes its catalogue."""

import asyncio
import logging
import os

from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.connections import ProcessDependencies, process_dependencies, sealer
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.wiring import command_dependencies, load_owned
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal
from secaplane.plugins import Plugin
from secaplane.plugins.simulated import SimulatedPlugin
from secaplane.readmodel.schema.tables import DATABASE_UNAVAILABLE
from secaplane.reconcilers import catalogue
from secaplane.reconcilers.reconcile import ReconcileDependencies
from secaplane.reconcilers.run import Reconcilers

POLL_S = 0.02
CATALOGUE_EVERY_S = 60.0
BACKGROUND_NICE = 10
"""Low priority: processes that answer users go first."""
log = logging.getLogger("secaplane.reconcilers")


async def run(config: Config, announce: Announce) -> None:
    os.nice(BACKGROUND_NICE)
    metrics = Metrics()
    plugin = SimulatedPlugin(config.cloud.url)
    async with (
        process_dependencies(config, writes_log=True) as process,
        asyncio.TaskGroup() as group,
    ):
        dependencies = ReconcileDependencies(
            command_dependencies(process, config), plugin, sealer(config), load_owned(process)
        )
        reconcilers = Reconcilers(dependencies, process.log, process.pool)
        published = asyncio.Event()
        _watch_reconcilers(metrics, reconcilers)
        group.create_task(reconcilers.run())
        group.create_task(_publish(process, config, dependencies, plugin, published))

        def readiness() -> Readiness:
            reasons = [] if reconcilers.started else ["not started"]
            if not published.is_set():
                reasons.append("the catalogue is not known")
            if not process.nats.is_connected:
                reasons.append("the log is away")
            details = {"queue": len(reconcilers.queue), "failing": len(reconcilers.failures)}
            return Readiness(not reasons, reasons, details=details)

        try:
            async with monitored(config, readiness, metrics) as monitor:
                await published.wait()
                announce(Announcement(monitor=monitor))
                await asyncio.Event().wait()
        finally:
            await plugin.close()


def _watch_reconcilers(metrics: Metrics, reconcilers: Reconcilers) -> None:
    shown = {
        "reconcile_queue": ("Addresses waiting for a look", lambda: len(reconcilers.queue)),
        "reconcile_failing": (
            "Addresses whose last look failed",
            lambda: len(reconcilers.failures),
        ),
        "reconciled_total": ("Looks that went well", lambda: reconcilers.done),
    }
    for name, (says, value) in shown.items():
        metrics.gauge(name, says).set_function(value)


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
                await plugin.offers(),
                base_url=base_url,
            )
            published.set()
        except (Refusal, LogUnavailable, *DATABASE_UNAVAILABLE) as error:
            log.warning("the catalogue could not be published", extra={"reason": repr(error)})
        await asyncio.sleep(CATALOGUE_EVERY_S if published.is_set() else POLL_S * 10)
