"""Wires the security audit stream, as the configuration describes it, into the processes that
answer users."""

from functools import partial

from nats.aio.client import Client

from secaplane.audit.stream import AuditLimits, AuditStream
from secaplane.audit.writer import AuditWriter
from secaplane.cli.config import Config
from secaplane.cli.processes.connections import now
from secaplane.edge.audit_recorder import AuditRecorder
from secaplane.edge.requests.client_address import TrustedProxies
from secaplane.edge.serving.metrics import Metrics
from secaplane.policy.grants.policy import Policy

COUNTERS = {
    "audit_entries_recorded": "Audit entries that this process has published",
    "audit_entries_dropped": "Audit entries over the rate of one caller: only counted",
    "audit_entries_lost": "Audit entries lost: queue full, or rejected by the stream",
}
"""Name and help; the last word of a name is its key in `AuditWriter.figures`."""


def audit_writer(nats: Client, config: Config, metrics: Metrics, *, creates: bool) -> AuditWriter:
    """The writer, with its metrics. `creates`: the process may create the stream."""
    stream = AuditStream(nats, stream=config.nats.stream)
    configured = limits(config)

    async def prepare() -> str:
        if creates:
            await stream.create(configured, replicas=config.nats.replicas)
        return difference(stream.name, await stream.limits(), configured)

    writer = AuditWriter(stream.publish, prepare)
    for name, help_text in COUNTERS.items():
        metrics.counter(name, help_text, partial(_figure, writer, name.rpartition("_")[2]))
    pending = metrics.gauge("audit_entries_pending", "Audit entries that are not published yet")
    pending.set_function(lambda: writer.pending)
    return writer


def _figure(writer: AuditWriter, key: str) -> int:
    return writer.figures[key]


def audit_recorder(
    config: Config, writer: AuditWriter, policy: Policy, proxies: TrustedProxies
) -> AuditRecorder:
    return AuditRecorder(
        writer.record,
        clock=now,
        membership=policy.membership,
        privileged=config.audit.privileged,
        proxies=proxies,
    )


def limits(config: Config) -> AuditLimits:
    section = config.audit
    return AuditLimits(
        entries_per_caller=section.entries_per_caller,
        bytes_max=section.bytes_max,
        days=section.days,
    )


def difference(name: str, actual: AuditLimits, configured: AuditLimits) -> str:
    """A remark for the operator, who alone may change a stream; empty where there is none."""
    if actual == configured:
        return ""
    return (
        f"the stream {name} differs from [audit] in the configuration: it keeps "
        f"{actual.entries_per_caller} entries of each caller, {actual.bytes_max} bytes, "
        f"{actual.days} days; change it with `nats stream edit`"
    )
