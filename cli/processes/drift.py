"""Wires the comparison of cloud and log into the reconcilers process."""

from uuid import uuid4

from secaplane.audit.entries import EntryCaller, entry
from secaplane.audit.stream import AuditStream, PendingEntry, PublishResult
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies, now
from secaplane.cli.processes.stopping import Start
from secaplane.edge.serving.metrics import Metrics
from secaplane.kinds import KINDS
from secaplane.model.actor import RECONCILER
from secaplane.plugins.plugin import InventoryItem
from secaplane.reconcilers.drift.cursor import ScanCursor
from secaplane.reconcilers.drift.rows import SettledRows
from secaplane.reconcilers.drift.scan import DriftScan, ScanSettings, compared_kinds
from secaplane.reconcilers.drift.sweep import InventorySweep, RecordRemoval
from secaplane.reconcilers.run import Reconcilers


class DriftWork:
    """The scan and the sweep of one process."""

    def __init__(
        self, process: ProcessDependencies, config: Config, reconcilers: Reconcilers
    ) -> None:
        drift, dependencies = config.drift, reconcilers.dependencies
        nats = config.nats
        cursor = ScanCursor(process.nats, stream=nats.stream, replicas=nats.replicas)
        settings = ScanSettings(
            per_second=drift.per_second,
            round_s=drift.round_hours * 3600,
            confirm_s=drift.confirm_seconds,
        )
        queue = reconcilers.queue
        self._kinds = compared_kinds(drift.ignore)
        self.scan = DriftScan(
            dependencies,
            SettledRows(process.pool, self._kinds),
            settings,
            requeue=queue.add,
            busy=queue.__contains__,
            load=cursor.load,
            save=cursor.save,
            holds=reconcilers.leases.holds,
            working=reconcilers.working,
        )
        self.sweep = InventorySweep(
            dependencies,
            process.pool,
            record_removal(process, config),
            interval_s=drift.inventory_minutes * 60,
            holds=reconcilers.leases.holds,
            working=reconcilers.working,
        )

    def start(self, start: Start, metrics: Metrics) -> None:
        scan, sweep = self.scan, self.sweep
        for name, help_text, read in (
            ("drift_comparisons", "Resources compared with the cloud", lambda: scan.compared),
            ("drift_found", "Differences of cloud and log that were reported", lambda: scan.found),
            ("drift_over", "Differences that were reported and are over", lambda: scan.over),
            ("drift_comparisons_failed", "Comparisons without an answer", lambda: scan.failed),
            ("orphans_removed", "Orphans removed from the cloud", lambda: sweep.removed),
        ):
            metrics.counter(name, help_text, read)
        unknown = metrics.gauge(
            "cloud_unknown_resources", "Resources of the cloud that the log never knew"
        )
        unknown.set_function(lambda: sweep.unknown)
        if self._kinds:
            start(scan.run())
        start(sweep.run())

    def remarks(self) -> list[str]:
        remarks = []
        if self.sweep.unknown:
            remarks.append(
                f"the cloud holds {self.sweep.unknown} resources that the log never knew: "
                "`secaplane drift list` names them"
            )
        if self.sweep.failures:
            remarks.append(
                f"the cloud's inventory could not be compared {self.sweep.failures} times"
            )
        return remarks


def repaired_kinds(config: Config) -> frozenset[str]:
    named = config.drift.repair
    return frozenset(KINDS) if "*" in named else frozenset(named)


def record_removal(process: ProcessDependencies, config: Config) -> RecordRemoval:
    """Records removals of orphans in the security audit stream, before they are made. An entry that
    the stream rejects is in the log of the process alone."""
    stream = AuditStream(process.nats, stream=config.nats.stream)

    async def record(item: InventoryItem) -> bool:
        made = entry(
            "orphan-removed",
            time=now(),
            request=uuid4().hex,
            client_address="",
            caller=EntryCaller(sub=RECONCILER.sub),
            verb="remove",
            path=f"{item.kind} {item.path}",
            reason=f"uid {item.uid} is gone in the log and was in the cloud",
        )
        (result,) = await stream.publish([PendingEntry(f"orphan-{item.uid}", made)])
        return result is not PublishResult.UNANSWERED

    return record
