"""`secaplane audit verify`: verify an export without a server or a network."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from secaplane.audit.notary.erased_events import count_erased
from secaplane.audit.notary.verified_export import (
    Saved,
    TrustedFacts,
    VerifiedProgress,
    VerifiedStream,
    missing_logs,
    unseen_attacks,
    verify_stream,
)
from secaplane.audit.tenant_export.folder import TENANT_PATH
from secaplane.audit.tenant_export.verifying import verify_tenant
from secaplane.audit.tlog.checkpoints import TreeHead, parse_checkpoint
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.cli.operate import tenant_verify
from secaplane.cli.settings import BadConfig
from secaplane.eventlog.codec import NOT_JSON

WRONG, NOT_ALL_SEEN = 1, 3
_Progress = dict[str, VerifiedProgress]


def verify(
    folder: Path,
    *,
    policy: Path | None,
    seen: Sequence[Path],
    max_age_s: int | None,
    resume: Path | None,
) -> int:
    """Exit status 0: everything is good; 1: what is wrong is printed, the first position of each
    stream; 3: nothing is wrong, but some attacks could not be seen, which are printed.

    Raises:
        BadConfig: a file of the verifier cannot be used.
    """
    refuse_inside(folder, [policy, resume, *seen])
    trusted = trusted_facts(policy, seen, max_age_s)
    known = _known(resume)

    def save(progress: VerifiedProgress) -> None:
        known[progress.origin] = progress
        if resume is not None:
            new = resume.with_name(f"{resume.name}.new")
            new.write_bytes(msgspec.json.encode(known))
            new.rename(resume)

    if (folder / TENANT_PATH).is_file():
        return tenant_verify.verify(folder, trusted, progress=known, save=save)
    verified = verify_folder(folder, trusted, progress=known, save=save)
    for each in verified.streams:
        print(printable(f"{each.stream}: {each.events} events compared"))
    sizes = {each.stream: each.head.size for each in verified.streams if each.head is not None}
    for stream, number in count_erased(folder, sizes).items():
        print(printable(f"{stream}: sealed under a destroyed key: {number}"))
    for finding in verified.wrong:
        print(printable(finding), file=sys.stderr)
    if not verified.wrong:
        for attack in verified.unseen:
            print(printable(f"not seen: {attack}"))
    return verified.status


class VerifiedFolder(NamedTuple):
    """The result for an export: its streams, what is wrong, and the attacks that could not be seen
    with what the verifier had."""

    streams: Sequence[VerifiedStream]
    wrong: Sequence[str]
    unseen: Sequence[str]

    @property
    def status(self) -> int:
        """The exit status of a command that verified it."""
        if self.wrong:
            return WRONG
        return NOT_ALL_SEEN if self.unseen else 0


def verify_either(folder: Path, trusted: TrustedFacts) -> VerifiedFolder:
    """Verify an export, whole or of one tenant."""
    if not (folder / TENANT_PATH).is_file():
        return verify_folder(folder, trusted, progress={}, save=lambda progress: None)
    result = verify_tenant(folder, trusted, progress={}, save=lambda progress: None)
    wrong = result.findings or missing_logs(trusted, result.streams)
    unseen = [*unseen_attacks(trusted, result.streams), *result.unseen]
    return VerifiedFolder(result.streams, wrong, unseen)


def verify_folder(
    folder: Path, trusted: TrustedFacts, *, progress: Mapping[str, VerifiedProgress], save: Saved
) -> VerifiedFolder:
    """Verify the export of every stream in a folder."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    streams = [
        verify_stream(each, trusted, progress=progress, save=save)
        for each in inside
        if each.is_dir() and not each.is_symlink()
    ]
    verified = {each.stream for each in streams}
    wrong = [f"{each.name} is foreign" for each in inside if each.name not in verified]
    wrong += [f"{each.stream}: {finding}" for each in streams for finding in each.findings]
    wrong += missing_logs(trusted, streams)
    if not streams:
        wrong.append("the folder holds no log")
    return VerifiedFolder(streams, wrong, unseen_attacks(trusted, streams))


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
