"""The report of one tenant in a time window, collected record by record. Pure.

Memory is bounded: of each section the first rows are kept and the others counted; the JSON file
beside the page has all of them.
"""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from secaplane.audit.siem.records import GAP, REFUSED, UNREADABLE, SiemRecord

ROWS_MAX = 2000
"""Rows that a section of the page shows."""
ACTORS_MAX = 10_000
ADDRESSES_MAX = 8
RIGHTS_KINDS = frozenset({"role", "role-assignment", "tenant"})
"""Kinds whose resources say who is allowed what, and how much: a tenant has its quotas."""
REPORTS = frozenset({"status-reported", "deleted", "closed"})
"""Events that the control plane records about its own work."""
WITHOUT_TENANT = frozenset({UNREADABLE, GAP})
"""Records whose tenant is not known: they are part of every report."""


class ReportWindow(msgspec.Struct, frozen=True):
    """The tenant and the times, in UTC, that a report is about. The end is excluded."""

    tenant: str
    begin: datetime
    end: datetime

    def contains(self, record: SiemRecord) -> bool:
        """True if the record belongs to the tenant and its time to the window; also for what
        cannot be read, whose tenant and time are not known."""
        if record.type in WITHOUT_TENANT:
            return True
        return record.resource.tenant == self.tenant and self.begin <= record.time < self.end


@dataclass
class ReportSection:
    """Rows of one sort: the first ROWS_MAX, and the number of all."""

    rows: list[SiemRecord] = field(default_factory=list)
    count: int = 0

    def add(self, record: SiemRecord) -> None:
        self.count += 1
        if len(self.rows) < ROWS_MAX:
            self.rows.append(record)


@dataclass
class ActorSummary:
    """The requests of one caller in the window."""

    issuer: str
    sub: str
    first: datetime
    last: datetime
    accepted: int = 0
    refused: int = 0
    addresses: list[str] = field(default_factory=list)
    """Client addresses, the first ADDRESSES_MAX."""


@dataclass
class TenantLife:
    """One life of the tenant: a name that is created again is another tenant."""

    uid: str
    first: datetime
    last: datetime
    events: int = 0


@dataclass
class TenantReport:
    """All sections. Each record of the window is in `requests`, `refusals`, `reads`, `reports` or
    `unreadable`; changes of rights and failures are shown a second time."""

    requests: ReportSection = field(default_factory=ReportSection)
    refusals: ReportSection = field(default_factory=ReportSection)
    rights: ReportSection = field(default_factory=ReportSection)
    reads: ReportSection = field(default_factory=ReportSection)
    failures: ReportSection = field(default_factory=ReportSection)
    unreadable: ReportSection = field(default_factory=ReportSection)
    reports: int = 0
    """Events that the control plane recorded about its own work."""
    dropped: int = 0
    """Audit entries that were dropped because one caller caused too many."""
    actors: dict[str, ActorSummary] = field(default_factory=dict)
    actors_left_out: int = 0
    """Records of callers beyond the first ACTORS_MAX."""
    lives: dict[str, TenantLife] = field(default_factory=dict)

    def add(self, record: SiemRecord) -> None:
        """Add a record of the window."""
        self.dropped += record.dropped
        if record.type in WITHOUT_TENANT:
            self.unreadable.add(record)
            return
        self._add_life(record)
        if record.type in REPORTS:
            self.reports += 1
        else:
            self._section(record).add(record)
            self._add_actor(record)
        if record.type in REPORTS and record.outcome == "failure":
            self.failures.add(record)
        if record.resource.kind in RIGHTS_KINDS and record.type not in REPORTS:
            self.rights.add(record)

    def _section(self, record: SiemRecord) -> ReportSection:
        if record.type in REFUSED:
            return self.refusals
        return self.requests if record.resource.kind else self.reads

    def _add_life(self, record: SiemRecord) -> None:
        uid = record.resource.tenant_uid
        if uid:
            life = self.lives.setdefault(uid, TenantLife(uid, record.time, record.time))
            life.events += 1
            life.first, life.last = min(life.first, record.time), max(life.last, record.time)

    def _add_actor(self, record: SiemRecord) -> None:
        actor = record.actor
        key = f"{actor.issuer} {actor.sub}"
        summary = self.actors.get(key)
        if summary is None:
            if len(self.actors) >= ACTORS_MAX:
                self.actors_left_out += 1
                return
            summary = ActorSummary(actor.issuer, actor.sub, record.time, record.time)
            self.actors[key] = summary
        if record.type in REFUSED:
            summary.refused += 1 + record.dropped
        else:
            summary.accepted += 1
        summary.first = min(summary.first, record.time)
        summary.last = max(summary.last, record.time)
        address = actor.client_address
        known = summary.addresses
        if address and address not in known and len(known) < ADDRESSES_MAX:
            known.append(address)
