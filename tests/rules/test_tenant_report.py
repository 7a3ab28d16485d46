"""The report of one tenant: what belongs to it, how it is counted, and what its page shows."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from msgspec.structs import replace

from secaplane.audit.evidence.page import Evidence, StreamEvidence, WitnessTime, page
from secaplane.audit.evidence.tenant_report import (
    ACTORS_MAX,
    ADDRESSES_MAX,
    ROWS_MAX,
    ReportWindow,
    TenantReport,
)
from secaplane.audit.siem.records import SiemActor, SiemRecord, SiemResource, gap
from tests.rules.siem_records import random_record

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = ReportWindow("acme", NOON, NOON + HOUR)
JANE = SiemActor(issuer="https://idp", sub="jane", client_address="192.0.2.7", assignment="admin")


def made(**changes: object) -> SiemRecord:
    fields = {
        "id": "SECA:7",
        "type": "created",
        "time": NOON,
        "stream": "SECA",
        "sequence": 7,
        "outcome": "success",
        "actor": JANE,
        "resource": SiemResource(kind="block-storage", tenant="acme", tenant_uid="t1"),
    }
    return SiemRecord(**fields | changes)  # type: ignore[arg-type]


def forbidden(**changes: object) -> SiemRecord:
    path = "/providers/seca.compute/v1/tenants/acme/skus"
    resource = SiemResource(path=path, tenant="acme")
    return made(type="forbidden", outcome="failure", resource=resource, path=path, **changes)


def collected(*records: SiemRecord) -> TenantReport:
    report = TenantReport()
    for each in records:
        report.add(each)
    return report


def test_a_write_that_was_refused_with_another_status_is_a_refusal() -> None:
    report = collected(made(), replace(forbidden(), type="refused", dropped=4, status=409))
    assert (report.requests.count, report.refusals.count, report.dropped) == (1, 1, 4)
    (jane,) = report.actors.values()
    assert (jane.accepted, jane.refused) == (1, 5)


@pytest.mark.parametrize(
    ("record", "belongs"),
    [
        (made(), True),
        (made(time=NOON + HOUR - timedelta(milliseconds=1)), True),
        (made(time=NOON + HOUR), False),
        (made(time=NOON - timedelta(milliseconds=1)), False),
        (made(resource=SiemResource(kind="block-storage", tenant="acme2")), False),
        (forbidden(), True),
        (made(type="process-started", resource=SiemResource()), False),
        (gap("SECA", 3, 5), True),
        (made(type="unreadable", time=NOON - HOUR, resource=SiemResource()), True),
    ],
)
def test_a_report_is_about_one_tenant_and_its_times_and_about_everything_unreadable(
    record: SiemRecord, belongs: bool
) -> None:
    assert WINDOW.contains(record) is belongs


def test_each_record_is_counted_once_among_requests_refusals_reads_reports_and_gaps() -> None:
    random = Random(12)
    records = [random_record(random) for _ in range(2000)]
    report = collected(*records)
    sections = (report.requests, report.refusals, report.reads, report.unreadable)
    assert sum(each.count for each in sections) + report.reports == len(records)


def test_changes_of_rights_and_failures_have_sections_of_their_own() -> None:
    role = SiemResource(kind="role-assignment", tenant="acme", tenant_uid="t1")
    failed = made(type="status-reported", outcome="failure", detail="no capacity")
    report = collected(made(), made(resource=role), failed, made(type="status-reported"))
    assert [each.resource for each in report.rights.rows] == [role]
    assert report.failures.rows == [failed]
    assert (report.requests.count, report.reports) == (2, 2)


def test_a_caller_has_the_number_of_requests_and_the_addresses_they_came_from() -> None:
    later = made(
        time=NOON + timedelta(minutes=5), actor=SiemActor(issuer="https://idp", sub="jane")
    )
    report = collected(made(), later, forbidden(dropped=40))
    (jane,) = report.actors.values()
    assert (jane.accepted, jane.refused) == (2, 41)
    assert (jane.first, jane.last, jane.addresses) == (NOON, later.time, ["192.0.2.7"])
    assert report.dropped == 40


def test_callers_of_two_issuers_with_one_name_are_two_callers() -> None:
    report = collected(made(), made(actor=SiemActor(issuer="https://other", sub="jane")))
    assert len(report.actors) == 2


def test_two_lives_of_a_tenants_name_are_named_apart() -> None:
    second = SiemResource(kind="workspace", tenant="acme", tenant_uid="t2")
    report = collected(made(), made(), made(resource=second))
    assert [(each.uid, each.events) for each in report.lives.values()] == [("t1", 2), ("t2", 1)]


def test_a_report_keeps_a_bounded_number_of_rows_callers_and_addresses() -> None:
    report = TenantReport()
    for number in range(ACTORS_MAX + 50):
        report.add(made(actor=SiemActor(sub=f"s{number}")))
    for number in range(50):
        report.add(made(actor=SiemActor(sub="s0", client_address=f"192.0.2.{number}")))
    assert (len(report.requests.rows), report.requests.count) == (ROWS_MAX, ACTORS_MAX + 100)
    assert (len(report.actors), report.actors_left_out) == (ACTORS_MAX, 50)
    assert len(report.actors[" s0"].addresses) == ADDRESSES_MAX
    assert f"{ACTORS_MAX + 100 - ROWS_MAX} more are in report.json" in page(evidence(), report)


def test_the_page_shows_what_was_verified_and_what_could_not_be_seen() -> None:
    shown = page(evidence(unseen=["without a policy, everything"]), collected(made()))
    for text in ("None is missing", "audit.example/SECA", "witness-a", "2026-11-30T12:00:00.000Z"):
        assert text in shown
    assert "without a policy, everything" in shown
    assert "None is missing" not in page(evidence(wrong=["SECA:5 is changed"]), TenantReport())


def test_the_page_says_if_the_signer_was_not_verified() -> None:
    unsigned = replace(evidence().streams[0], signed_by=())
    signed, not_signed = evidence(), replace(evidence(), streams=[unsigned])
    assert "signed by a key of the policy" in page(signed, TenantReport())
    assert "was not verified" not in page(signed, TenantReport())
    assert "who signed the tree was not verified" in page(not_signed, TenantReport())


def test_no_text_of_a_client_becomes_markup() -> None:
    hostile = "</td><script>alert(1)</script>&<img src=x onerror=alert(1)>"
    actor = SiemActor(sub=hostile, issuer=hostile, user_agent=hostile, client_address=hostile)
    resource = SiemResource(kind="role", path=hostile, tenant="acme")
    records = [
        made(actor=actor, resource=resource, detail=hostile, verb=hostile),
        forbidden(actor=actor, detail=hostile),
        made(type="unreadable", detail=hostile),
    ]
    shown = page(evidence(wrong=[hostile], unseen=[hostile], tenant=hostile), collected(*records))
    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;script&gt;" in shown


def test_nothing_of_a_page_is_loaded_from_elsewhere() -> None:
    shown = page(evidence(), collected(made()))
    assert "default-src 'none'" in shown
    assert not any(part in shown for part in ("src=", "href=", "url(", "@import"))


def evidence(
    *, wrong: list[str] | None = None, unseen: list[str] | None = None, tenant: str = "acme"
) -> Evidence:
    stream = StreamEvidence(
        "SECA",
        "audit.example/SECA",
        7,
        "cm9vdA==",
        7,
        ("audit.example/SECA",),
        (WitnessTime("witness-a", "2026-11-30T12:30:00Z"),),
        (),
    )
    window = replace(WINDOW, tenant=tenant)
    commands = ["secaplane audit verify EXPORT --policy POLICY"]
    return Evidence(window, NOON, "0.1.0", [stream], wrong or [], unseen or [], commands)
