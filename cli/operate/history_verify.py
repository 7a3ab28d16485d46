"""`secaplane audit verify`: verify an export without a server or a network."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from secaplane.audit.notary.erased_events import count_erased
from secaplane.audit.notary.verified_export import TrustedFacts, VerifiedProgress
from secaplane.audit.timestamps.tokens import TimestampsNotInstalled, VerifyToken, verifying
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.cli.operate.verified_folder import VerifiedFolder, verify_folder
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.codec import NOT_JSON

NEVER_SEEN = (
    "no verifier can see events after that, and events that were left out before a checkpoint"
    " was in other hands"
)
_Progress = dict[str, VerifiedProgress]


def verify(
    folder: Path,
    *,
    policy: Path | None,
    seen: Sequence[Path],
    max_age_s: int | None,
    resume: Path | None,
    tsa_certificate: Path | None = None,
) -> int:
    """Exit status 0: everything is good; 1: what is wrong is printed, the first position of each
    stream; 3: nothing is wrong, but some attacks could not be seen, which are printed.

    Raises:
        BadConfig: a file of the verifier cannot be used.
    """
    refuse_inside(folder, [policy, resume, tsa_certificate, *seen])
    trusted = trusted_facts(policy, seen, max_age_s)
    if tsa_certificate is not None:
        trusted = trusted._replace(verify_token=_authority(tsa_certificate))
    known = _known(resume)

    def save(progress: Sequence[VerifiedProgress]) -> None:
        known.update((each.origin, each) for each in progress)
        if resume is not None:
            new = resume.with_name(f"{resume.name}.new")
            new.write_bytes(msgspec.json.encode(known))
            new.rename(resume)

    verified = verify_folder(folder, trusted, progress=known, save=save)
    _print(folder, verified)
    return verified.status


def _print(folder: Path, verified: VerifiedFolder) -> None:
    of = " of the tenant" if verified.complete else ""
    compared = [f"{each.stream}: {each.events} events{of} compared" for each in verified.streams]
    for line in [*compared, *_of_whole(folder, verified)]:
        print(printable(line))
    for finding in verified.wrong:
        print(printable(finding), file=sys.stderr)
    if verified.wrong:
        return
    if verified.complete:
        print(printable(verified.complete))
    for attack in verified.unseen:
        print(printable(f"not seen: {attack}"))
    if verified.complete:
        print(NEVER_SEEN)


def _of_whole(folder: Path, verified: VerifiedFolder) -> Iterator[str]:
    """Further results for a whole export."""
    for each in verified.streams:
        yield from each.stamps
    if verified.heads:
        yield f"entries about heads: {verified.heads} compared"
    if not verified.complete:
        sizes = {each.stream: each.head.size for each in verified.streams if each.head is not None}
        for stream, number in count_erased(folder, sizes).items():
            yield f"{stream}: sealed under a destroyed key: {number}"


def trusted_facts(
    policy: Path | None, seen: Sequence[Path], max_age_s: int | None = None
) -> TrustedFacts:
    """The facts that a verifier trusts, from files of its own.

    Raises:
        BadConfig: a file cannot be used.
    """
    if max_age_s is not None and policy is None:
        raise BadConfig("--max-age needs --policy, which names the witnesses")
    after = int(time.time()) - max_age_s if max_age_s is not None else 0
    return TrustedFacts(
        read_policy(policy) if policy else None, [_seen(each) for each in seen], after
    )


def _authority(file: Path) -> VerifyToken:
    try:
        return verifying(file.read_bytes())
    except (OSError, ValueError, TimestampsNotInstalled) as error:
        raise BadConfig(f"{file}: {error}") from error


def printable(text: str) -> str:
    """The text with escapes for control characters: names in an export must not move the cursor of
    a terminal, or begin a line of their own."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def refuse_inside(folder: Path, files: Sequence[Path | None]) -> None:
    """Raises BadConfig where a file of the verifier is in the export, whose author has made it."""
    for each in files:
        if each is not None and each.resolve().is_relative_to(folder.resolve()):
            raise BadConfig(f"{each} is in {folder}: trust comes from outside of an export")


def read_policy(file: Path) -> TlogPolicy:
    """The policy in a file.

    Raises:
        BadConfig: it cannot be used.
    """
    try:
        return parse_policy(file.read_text())
    except (OSError, ValueError) as error:
        raise BadConfig(f"{file}: {error}") from error


def _seen(file: Path) -> TreeHead:
    try:
        return parse_checkpoint(file.read_bytes()).head
    except (OSError, WrongNote) as error:
        raise BadConfig(f"{file}: {error}") from error


def _known(file: Path | None) -> _Progress:
    if file is None or not file.exists():
        return {}
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Progress)
    except (OSError, *NOT_JSON) as error:
        raise BadConfig(f"{file}: {error}") from error
