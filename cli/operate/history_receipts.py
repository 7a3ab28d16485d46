"""`secaplane audit receipt` and `verify-receipt`: the proof that one event is in its log."""

import sys
from datetime import UTC, datetime
from pathlib import Path

from secaplane.audit.merkle.proofs import WrongProof
from secaplane.audit.notary.export_folder import ExportFolder, joined_events, split_events
from secaplane.audit.notary.receipts import exported_receipt, verify_receipt
from secaplane.audit.notary.verification import StoredEvent
from secaplane.audit.tlog.cosignatures import cosigned_at
from secaplane.audit.tlog.policies import TlogPolicy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import TilesDiffer
from secaplane.audit.tlog.tlog_proofs import SUFFIX, parse_proof
from secaplane.cli.operate.history_verify import printable, read_policy
from secaplane.cli.settings import BadConfig
from secaplane.model.position import Position, parse

EVENT_SUFFIX = ".event"
NOT_SHOWN = 1


def write(folder: Path, text: str, file: Path) -> int:
    """Write the receipt of an event of an export, and the event.

    Raises:
        BadConfig: no such event, or the export is damaged.
    """
    position = _position(text)
    export = ExportFolder(folder / position.stream)
    try:
        proof, event = exported_receipt(export, position.sequence)
        _beside(file, SUFFIX).write_bytes(proof.written)
        _beside(file, EVENT_SUFFIX).write_bytes(joined_events([event]))
    except (WrongProof, WrongNote, TilesDiffer, OSError) as error:
        raise BadConfig(printable(f"no receipt of {position}: {error}")) from error
    print(f"{_beside(file, SUFFIX)}: {len(proof.written)} bytes")
    return 0


def verify(file: Path, policy: Path) -> int:
    """Verify a receipt, and print what it shows.

    Raises:
        BadConfig: a file cannot be used.
    """
    trusted = read_policy(policy)
    try:
        proof_bytes = _beside(file, SUFFIX).read_bytes()
        event_bytes = _beside(file, EVENT_SUFFIX).read_bytes()
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from error
    try:
        _verify(proof_bytes, _single(event_bytes), trusted)
    except (WrongProof, WrongNote, TilesDiffer) as error:
        print(printable(f"not shown: {error}"), file=sys.stderr)
        return NOT_SHOWN
    return 0


def _verify(data: bytes, event: StoredEvent, policy: TlogPolicy) -> None:
    """Print the position, the time, the log and the witnesses of an event."""
    proof = parse_proof(data)
    stream = proof.checkpoint.head.origin.rpartition("/")[2]
    checked, leaf = verify_receipt(
        proof, policy, stream=stream, subject=event.subject, stored=event.data
    )
    print(printable(f"{Position(leaf.stream, leaf.sequence)}: {time_text(leaf.ms / 1000)}"))
    print(printable(f"log {checked.head.origin}, {checked.head.size} events"))
    for each in checked.cosignatures:
        print(printable(f"witness {each.name}: {time_text(cosigned_at(each.signature))}"))


def _single(data: bytes) -> StoredEvent:
    """The event in a file. Raises TilesDiffer where there is not exactly one."""
    match split_events(data):
        case [StoredEvent() as event]:
            return event
        case _:
            raise TilesDiffer("the file of the event does not hold exactly one")


def _position(text: str) -> Position:
    try:
        return parse(text)
    except ValueError as error:
        raise BadConfig(str(error)) from error


def _beside(file: Path, suffix: str) -> Path:
    return file.with_name(f"{file.name}{suffix}")


def time_text(seconds: float) -> str:
    """An RFC 3339 time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return "at no valid time"
