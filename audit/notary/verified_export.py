"""Verification of an export by an auditor who trusts neither its author nor a server.

Trust comes from outside the export: a policy with the keys of logs and witnesses, and checkpoints
that the verifier has kept. Nothing in the export is trusted without them.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from secaplane.audit.notary.export_folder import ExportFolder
from secaplane.audit.notary.leaves import LifeHead
from secaplane.audit.timestamps.tokens import VerifyToken
from secaplane.audit.tlog.checkpoints import SignedCheckpoint, TreeHead, parse_checkpoint
from secaplane.audit.tlog.cosignatures import cosigned_at
from secaplane.audit.tlog.policies import TlogPolicy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.audit.tlog.tiles import TilesDiffer

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
    verify_token: VerifyToken | None = None
    """Verifies time stamps; None where no certificate of an authority is trusted."""


class VerifiedStream(NamedTuple):
    """The result for one stream: the events that were compared, and what is wrong."""

    stream: str
    head: TreeHead | None
    events: int
    findings: Sequence[str]
    stamps: Sequence[str] = ()
    """The time stamps that were verified."""
    unverified: int = 0
    """Time stamps that could not be, without a certificate of their authority."""


class VerifiedProgress(msgspec.Struct, frozen=True):
    """The part of an export that was verified; kept by the verifier, outside the export."""

    origin: str
    root: bytes
    bundles: int
    lives: dict[str, LifeHead]
    lost: int
    first_lost: int
    heads: int = -1
    """Entries about heads that were compared; -1 in a file of an earlier release."""


Saved = Callable[[Sequence[VerifiedProgress]], None]
"""Saves the states of several streams at once."""


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
    attacks += [
        f"without the certificate of their authority, {each.unverified} time stamps of "
        f"{each.stream} prove nothing (--tsa-certificate)"
        for each in streams
        if each.unverified
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
