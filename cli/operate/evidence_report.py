"""`secaplane audit report`: what happened in one tenant, as a page and as JSON, from an export."""

import base64
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec

from secaplane.audit.evidence.exported_records import (
    OpenEvents,
    exported_records,
    exported_tenant_records,
)
from secaplane.audit.evidence.page import Evidence, StreamEvidence, WitnessTime, page
from secaplane.audit.evidence.tenant_report import ReportWindow, TenantReport
from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.notary.verified_export import TrustedFacts, VerifiedStream
from secaplane.audit.siem.records import SiemRecord
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.cosignatures import cosigned_at
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import TilesDiffer
from secaplane.cli.config import Config
from secaplane.cli.operate import history_export
from secaplane.cli.operate.history_receipts import time_text
from secaplane.cli.operate.history_verify import printable, refuse_inside, trusted_facts
from secaplane.cli.operate.verified_folder import VerifiedFolder, verify_folder
from secaplane.cli.processes.connections import connected_log, now, with_deadline
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.event_seals import EnvelopesAlone

PAGE, JSON = "report.html", "report.json"


class ReportFiles(NamedTuple):
    """The files that a report is made of and made into."""

    folder: Path
    """Of the report."""
    export: Path | None
    """None: the history is exported first, into a temporary folder."""
    policy: Path | None
    seen: Sequence[Path]


async def report(config: Config, window: ReportWindow, files: ReportFiles) -> int:
    """Write the report, and print what it counts. The exit status is that of the verification of
    the export.

    Raises:
        BadConfig: a file cannot be used, or the folder of the report is not empty.
        LogUnavailable: NATS does not answer.
    """
    if files.folder.exists() and any(files.folder.iterdir()):
        raise BadConfig(f"{files.folder} is not empty")
    async with _opening(config) as open_events:
        if files.export is not None:
            return await _write(window, files, files.export, open_events)
        with tempfile.TemporaryDirectory() as place:
            await history_export.export(config, Path(place, "export"))
            return await _write(window, files, Path(place, "export"), open_events)


@asynccontextmanager
async def _opening(config: Config) -> AsyncIterator[OpenEvents]:
    """The keys of sealed events. Without a keyring nothing is asked, and sealed parts stay sealed:
    who has an export alone learns what happened, not to whom."""
    if not config.keys.seal_events:
        yield EnvelopesAlone().shown
        return
    async with with_deadline(connected_log(config)) as (_, log, _):
        yield log.inner.seals.shown


def window_of(tenant: str, begin: datetime | None, end: datetime | None) -> ReportWindow:
    """A window with the defaults of the command: from the first event until now.

    Raises:
        BadConfig: it would be empty.
    """
    window = ReportWindow(tenant, begin or datetime.fromtimestamp(0, UTC), end or now())
    if window.begin >= window.end:
        raise BadConfig("--from must be before --to")
    return window


async def _write(
    window: ReportWindow, files: ReportFiles, export: Path, open_events: OpenEvents
) -> int:
    refuse_inside(export, [files.policy, *files.seen])
    trusted = trusted_facts(files.policy, files.seen)
    verified = verify_folder(export, trusted)
    evidence = Evidence(
        window=window,
        made=now(),
        version=version("secaplane"),
        streams=[_stream_evidence(export, each, trusted) for each in verified.streams],
        wrong=verified.wrong,
        unseen=verified.unseen,
        commands=_commands(files, whole=not verified.complete),
        complete=verified.complete,
    )
    files.folder.mkdir(parents=True, exist_ok=True)
    collected = TenantReport()
    records = _records(export, verified, window, collected, open_events)
    await _write_json(files.folder / JSON, evidence, records, collected)
    (files.folder / PAGE).write_text(page(evidence, collected))
    _print(files, evidence, collected)
    return verified.status


async def _records(
    export: Path,
    verified: VerifiedFolder,
    window: ReportWindow,
    collected: TenantReport,
    open_events: OpenEvents,
) -> AsyncIterator[SiemRecord]:
    """Every record of the window, added to the report on the way."""
    exported = exported_tenant_records if verified.complete else exported_records
    for each in verified.streams:
        if each.head is None:
            continue
        try:
            folder = ExportFolder(export / each.stream)
            async for record in exported(folder, each.head.size, open_events):
                if window.contains(record):
                    collected.add(record)
                    yield record
        except TilesDiffer:
            continue  # the verification has found it, and names the position


async def _write_json(
    file: Path, evidence: Evidence, records: AsyncIterator[SiemRecord], collected: TenantReport
) -> None:
    """One JSON object, written record by record: there may be more than fit into memory."""
    encode = msgspec.json.encode
    with file.open("wb") as out:
        out.write(b'{"evidence":%s,"records":[' % encode(evidence))
        separator = b"\n"
        async for record in records:
            out.write(separator)
            separator = b",\n"
            out.write(encode(record))
        counts = {
            "accepted": collected.requests.count,
            "refused": collected.refusals.count,
            "rights": collected.rights.count,
            "reads": collected.reads.count,
            "reports": collected.reports,
            "failures": collected.failures.count,
            "gaps": collected.unreadable.count,
            "dropped": collected.dropped,
        }
        out.write(b'\n],"counts":%s,' % encode(counts))
        out.write(b'"callers":%s,' % encode(list(collected.actors.values())))
        out.write(b'"lives":%s}\n' % encode(list(collected.lives.values())))


def _stream_evidence(
    export: Path, verified: VerifiedStream, trusted: TrustedFacts
) -> StreamEvidence:
    head = verified.head
    if head is None:
        return StreamEvidence(verified.stream, "", 0, "", 0, (), (), verified.findings)
    signed_by, witnesses = tuple[str, ...](), list[WitnessTime]()
    if trusted.policy is not None:
        try:
            data = ExportFolder(export / verified.stream).checkpoint()
            checked = trusted.policy.verify(parse_checkpoint(data))
        except (WrongNote, TilesDiffer):
            pass  # `findings` says so
        else:
            signed_by = checked.log_keys
            witnesses = [
                WitnessTime(each.name, time_text(cosigned_at(each.signature)))
                for each in checked.cosignatures
            ]
    root = base64.b64encode(head.root).decode()
    return StreamEvidence(
        verified.stream,
        head.origin,
        head.size,
        root,
        verified.events,
        signed_by,
        witnesses,
        verified.findings,
    )


def _commands(files: ReportFiles, *, whole: bool) -> list[str]:
    """Commands for the reader of the report, who has the export and trusted files of his own. A
    receipt is made from a whole export."""
    seen = "".join(f" --seen {each.name}" for each in files.seen)
    verify = f"secaplane audit verify EXPORT --policy POLICY{seen or ' --seen CHECKPOINT'}"
    receipt = [
        "secaplane audit receipt EXPORT POSITION FILE",
        "secaplane audit verify-receipt FILE --policy POLICY",
    ]
    return [verify, *(receipt if whole else ())]


def _print(files: ReportFiles, evidence: Evidence, collected: TenantReport) -> None:
    print(
        f"{collected.requests.count} accepted and {collected.refusals.count} refused requests, "
        f"{collected.rights.count} changes of rights, {len(collected.actors)} callers, "
        f"{collected.unreadable.count or 'no'} gaps"
    )
    for each in evidence.streams:
        print(printable(f"{each.stream}: {each.events} of {each.size} events verified"))
    for finding in evidence.wrong:
        print(printable(f"wrong: {finding}"))
    for attack in evidence.unseen:
        print(printable(f"not seen: {attack}"))
    print(printable(f"{files.folder / PAGE} {files.folder / JSON}"))
