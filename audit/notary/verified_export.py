"""Verification of an export by an auditor who trusts neither its author nor a server.

Trust comes from outside the export: a policy with the keys of logs and witnesses, and checkpoints
that the verifier has kept. Nothing in the export is trusted without them.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.notary.leaves import CommitmentChain, LifeHead
from secaplane.audit.notary.notary_log import HistoryChanged
from secaplane.audit.notary.verification import AuthenticatedTiles, EventVerifier
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import cosigned_at
from secaplane.audit.tlog.policies import TlogPolicy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import WIDTH, TilesDiffer
from secaplane.model.position import Position

SAVED_BUNDLES = 64
"""Bundles between two times at which the progress is saved."""
FOREIGN_MAX = 20


class TrustedFacts(NamedTuple):
    """Keys and heads that the verifier has from elsewhere."""

    policy: TlogPolicy | None = None
    seen: Sequence[TreeHead] = ()
    """Heads that were trusted earlier, of any log."""
    cosigned_after: int = 0
    """Time in seconds since 1970: the newest cosignature must be later. 0: no such demand."""


class VerifiedStream(NamedTuple):
    """The result for one stream: the events that were compared, and what is wrong."""

    stream: str
    head: TreeHead | None
    events: int
    findings: Sequence[str]


class VerifiedProgress(msgspec.Struct, frozen=True):
    """The part of an export that was verified; kept by the verifier, outside the export."""

    origin: str
    root: bytes
    bundles: int
    lives: dict[str, LifeHead]
    lost: int
    first_lost: int


Saved = Callable[[VerifiedProgress], None]


def verify_stream(
    folder: Path,
    trusted: TrustedFacts,
    *,
    progress: Mapping[str, VerifiedProgress],
    save: Saved,
) -> VerifiedStream:
    """Verify the export of one stream, which has the name of its folder. `progress`: by origin,
    where an earlier run ended."""
    export, findings = ExportFolder(folder), list[str]()
    try:
        head = trusted_head(export, trusted)
    except WrongNote as error:
        return VerifiedStream(folder.name, None, 0, [f"the checkpoint is not trusted: {error}"])
    findings += _foreign(export, head.size)
    verifier, done = None, 0
    try:
        tiles = AuthenticatedTiles(export.read, head, folder.name)
        for seen in trusted.seen:
            if seen.origin == head.origin:
                tiles.refuse_another_beginning(seen)
        before = _earlier(progress.get(head.origin), head)
        done = min(head.size, before.bundles * WIDTH)
        chain = CommitmentChain(folder.name, before.lives)
        verifier = EventVerifier(tiles, export.read, chain)
        verifier.lost, verifier.first_lost = before.lost, before.first_lost
        for number in range(before.bundles, bundles(head.size)):
            _verify_bundle(export, verifier, number, folder.name)
            done = min(head.size, (number + 1) * WIDTH)
            if number % SAVED_BUNDLES == SAVED_BUNDLES - 1:
                save(_progress(head, number + 1, verifier))
    except HistoryChanged as changed:
        findings.insert(0, str(changed))
    if verifier is not None and verifier.lost:
        first = Position(folder.name, verifier.first_lost)
        findings.append(f"{verifier.lost} events are declared lost, the first is {first}")
    return VerifiedStream(folder.name, head, done, findings)


def unseen_attacks(trusted: TrustedFacts, streams: Sequence[VerifiedStream]) -> list[str]:
    """Attacks that could not be seen with these facts."""
    attacks = list[str]()
    if trusted.policy is None:
        attacks.append("without a policy, a history that was forged as a whole looks good")
    elif not trusted.policy.witnesses:
        attacks.append("without witnesses in the policy, two histories may have been signed")
    known = {each.origin for each in trusted.seen}
    attacks += [
        f"without an earlier checkpoint of {each.head.origin}, a history that was replaced or cut "
        "before its checkpoint was signed looks good"
        for each in streams
        if each.head is not None and each.head.origin not in known
    ]
    return attacks


def missing_logs(trusted: TrustedFacts, streams: Sequence[VerifiedStream]) -> list[str]:
    """Logs that the policy or an earlier checkpoint names and the export does not hold."""
    present = {each.head.origin for each in streams if each.head is not None}
    named = {each.public.name for each in (trusted.policy.logs if trusted.policy else ())}
    named |= {each.origin for each in trusted.seen}
    return [
        f"{origin} is missing: the export has no such log" for origin in sorted(named - present)
    ]


def _foreign(export: ExportFolder, size: int) -> list[str]:
    """Every file that the log does not have is named, of very many the first ones."""
    named = list(islice(export.foreign(size), FOREIGN_MAX + 1))
    findings = [f"{path} is foreign: the log has no such file" for path in named[:FOREIGN_MAX]]
    return findings + (["more files are foreign"] if len(named) > FOREIGN_MAX else [])


def trusted_head(export: ExportFolder, trusted: TrustedFacts) -> TreeHead:
    """The head in the checkpoint. Raises WrongNote where it is not trusted."""
    try:
        checkpoint = parse_checkpoint(export.checkpoint())
    except TilesDiffer as error:
        raise WrongNote(str(error)) from error
    if checkpoint.head.origin.rpartition("/")[2] != export.folder.name:
        raise WrongNote(f"it is of the log {checkpoint.head.origin}")
    if trusted.policy is not None:
        _verify(checkpoint, trusted.policy, trusted.cosigned_after)
    return checkpoint.head


def _verify(checkpoint: SignedCheckpoint, policy: TlogPolicy, cosigned_after: int) -> None:
    checked = policy.verify(checkpoint)
    if cosigned_after:
        times = [cosigned_at(each.signature) for each in checked.cosignatures]
        if max(times, default=0) < cosigned_after:
            raise WrongNote("no witness has cosigned it recently")


def _earlier(saved: VerifiedProgress | None, head: TreeHead) -> VerifiedProgress:
    """The saved progress, if it is of this tree; otherwise the beginning."""
    if saved is not None and saved.root == head.root:
        return saved
    return VerifiedProgress(head.origin, head.root, 0, {}, 0, 0)


def _progress(head: TreeHead, done: int, verifier: EventVerifier) -> VerifiedProgress:
    lives = dict(verifier.chain.heads)
    return VerifiedProgress(head.origin, head.root, done, lives, verifier.lost, verifier.first_lost)


def _verify_bundle(export: ExportFolder, verifier: EventVerifier, number: int, stream: str) -> None:
    try:
        events = export.events(number)
    except TilesDiffer as error:
        position = Position(stream, number * WIDTH + 1)
        raise HistoryChanged(position, "missing", str(error)) from error
    verifier.verify_bundle(number, events)
