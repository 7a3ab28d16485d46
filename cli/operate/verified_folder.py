"""The result of `secaplane audit verify` for an export, whole or of one tenant."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from secaplane.audit.notary.verified_export import (
    Saved,
    TrustedFacts,
    VerifiedProgress,
    VerifiedStream,
    missing_logs,
    unseen_attacks,
)
from secaplane.audit.tenant_export.folder import TENANT_PATH
from secaplane.audit.tenant_export.verifying import verify_tenant
from secaplane.audit.whole_export.verifying import verify_history

WRONG, NOT_ALL_SEEN = 1, 3


class VerifiedFolder(NamedTuple):
    """The result for an export: its streams, what is wrong, and the attacks that could not be seen
    with what the verifier had."""

    streams: Sequence[VerifiedStream]
    wrong: Sequence[str]
    unseen: Sequence[str]
    complete: str = ""
    """Of the export of one tenant: its life, and the entry up to which it is complete."""
    heads: int = 0
    """Of a whole export: the entries about heads that were compared."""

    @property
    def status(self) -> int:
        """The exit status of a command that verified it."""
        if self.wrong:
            return WRONG
        return NOT_ALL_SEEN if self.unseen else 0


def is_of_tenant(folder: Path) -> bool:
    """True for the export of one tenant."""
    return (folder / TENANT_PATH).is_file()


def verify_folder(
    folder: Path,
    trusted: TrustedFacts,
    *,
    progress: Mapping[str, VerifiedProgress] | None = None,
    save: Saved = lambda progress: None,
) -> VerifiedFolder:
    """Verify every stream in a folder. `progress`: by origin, where an earlier run ended."""
    verify = _of_tenant if is_of_tenant(folder) else _whole
    return verify(folder, trusted, progress or {}, save)


def _whole(
    folder: Path, trusted: TrustedFacts, progress: Mapping[str, VerifiedProgress], save: Saved
) -> VerifiedFolder:
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    folders = [each for each in inside if each.is_dir() and not each.is_symlink()]
    history = verify_history(folders, trusted, progress=progress, save=save)
    streams = history.streams
    verified = {each.stream for each in streams}
    wrong = [f"{each.name} is foreign" for each in inside if each.name not in verified]
    wrong += [f"{each.stream}: {finding}" for each in streams for finding in each.findings]
    wrong += [*history.findings, *missing_logs(trusted, streams)]
    if not streams:
        wrong.append("the folder holds no log")
    unseen = [*unseen_attacks(trusted, streams), *history.unseen]
    return VerifiedFolder(streams, wrong, unseen, heads=history.heads)


def _of_tenant(
    folder: Path, trusted: TrustedFacts, progress: Mapping[str, VerifiedProgress], save: Saved
) -> VerifiedFolder:
    result = verify_tenant(folder, trusted, progress=progress, save=save)
    wrong = result.findings or missing_logs(trusted, result.streams)
    unseen = [*unseen_attacks(trusted, result.streams), *result.unseen]
    complete = f"tenant life {result.life}: complete up to {result.entry}"
    return VerifiedFolder(result.streams, wrong, unseen, complete)
