"""The time stamps on checkpoints of a log, beside its tiles; an export has the same files.

<stream>/timestamps/<size>.checkpoint   the bytes that were stamped: a checkpoint of that size
<stream>/timestamps/<size>.tsr          the answer of the authority (RFC 3161, TimeStampResp)
"""

import re
from collections.abc import Iterable, Iterator

from secaplane.audit.timestamps.tokens import TOKEN_BYTES_MAX
from secaplane.audit.tlog.signed_notes import NOTE_BYTES_MAX

FOLDER, CHECKPOINT, TOKEN = "timestamps", ".checkpoint", ".tsr"
BYTES_MAX = {CHECKPOINT: NOTE_BYTES_MAX, TOKEN: TOKEN_BYTES_MAX}
_PATH = re.compile(rf"{FOLDER}/(0|[1-9][0-9]{{0,18}})\.(?:checkpoint|tsr)")


def stamp_path(size: int, kind: str) -> str:
    """The path of a part of a stamp in the folder of its stream."""
    return f"{FOLDER}/{size}{kind}"


def stamped_size(path: str) -> int | None:
    """The size of the checkpoint that a path is about; None where it is of no stamp."""
    match = _PATH.fullmatch(path)
    return int(match[1]) if match else None


def stamped_sizes(names: Iterable[str]) -> Iterator[int]:
    """The sizes of the checkpoints that have at least one part of a stamp, in order. `names`: of
    the files in the folder of stamps."""
    sizes = {stamped_size(f"{FOLDER}/{each}") for each in names}
    yield from sorted(each for each in sizes if each is not None)
