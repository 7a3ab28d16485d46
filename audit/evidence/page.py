"""The page of a report: one HTML file without scripts, and without anything that is loaded.

The texts of a record are written by clients, so every value is escaped by the template engine, and
a policy in the page forbids scripts besides.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from secaplane.audit.evidence.tenant_report import ReportWindow, TenantReport
from secaplane.audit.siem.records import SiemRecord

TEMPLATE = "page.html"


class WitnessTime(msgspec.Struct, frozen=True, rename="camel"):
    """A witness of the policy that has cosigned a checkpoint, and when."""

    name: str
    time: str


class StreamEvidence(msgspec.Struct, frozen=True, rename="camel"):
    """The result of the verification of one stream."""

    stream: str
    origin: str
    size: int
    root: str
    """In base64."""
    events: int
    """Compared with the tree."""
    signed_by: Sequence[str]
    """Keys of the log that the policy names; empty without a policy."""
    witnesses: Sequence[WitnessTime]
    findings: Sequence[str]


class Evidence(msgspec.Struct, frozen=True, rename="camel"):
    """Everything that a report says beside its records."""

    window: ReportWindow
    made: datetime
    version: str
    streams: Sequence[StreamEvidence]
    wrong: Sequence[str]
    """Findings of the verification, of every stream."""
    unseen: Sequence[str]
    """Attacks that the verification could not see with what it was given."""
    commands: Sequence[str]
    """To verify the same export again."""
    complete: str = ""
    """Of the export of one tenant: its life, and the entry up to which it is complete."""

    @property
    def is_signed(self) -> bool:
        """True if a policy names a key that has signed, for every stream."""
        return bool(self.streams) and all(each.signed_by for each in self.streams)


def page(evidence: Evidence, report: TenantReport) -> str:
    """The report as HTML."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"time": _time, "right": _right}
    return environment.get_template(TEMPLATE).render(evidence=evidence, report=report)


def _time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _right(record: SiemRecord) -> str:
    """The right by which a request was allowed, and the policy that was applied."""
    actor = record.actor
    if not actor.assignment:
        return ""
    return f"{actor.assignment} at {actor.policy}" if actor.policy else actor.assignment
