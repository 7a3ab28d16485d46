"""`secaplane audit verify` of the export of one tenant."""

import sys
from collections.abc import Mapping
from pathlib import Path

from secaplane.audit.notary.verified_export import (
    Saved,
    TrustedFacts,
    VerifiedProgress,
    missing_logs,
    unseen_attacks,
)
from secaplane.audit.tenant_export.verifying import verify_tenant
from secaplane.cli.operate.audit import printable

WRONG, NOT_ALL_SEEN = 1, 3


def verify(
    folder: Path, trusted: TrustedFacts, *, progress: Mapping[str, VerifiedProgress], save: Saved
) -> int:
    """Print the result; the exit status."""
    result = verify_tenant(folder, trusted, progress=progress, save=save)
    for each in result.streams:
        print(printable(f"{each.stream}: {each.events} events of the tenant compared"))
    wrong = result.findings + ([] if result.findings else missing_logs(trusted, result.streams))
    for finding in wrong:
        print(printable(finding), file=sys.stderr)
    if wrong:
        return WRONG
    print(printable(f"tenant life {result.life}: complete up to {result.entry}"))
    unseen = [*unseen_attacks(trusted, result.streams), *result.unseen]
    for attack in unseen:
        print(printable(f"not seen: {attack}"))
    print(
        "no verifier can see events after that, and events that were left out before a checkpoint"
        " was in other hands"
    )
    return NOT_ALL_SEEN if unseen else 0
