"""The files of an export as one tar stream (POSIX.1-1988 ustar), written as they come. Memory holds
one of them. Pure."""

import hashlib
import tarfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from secaplane.audit.heads.offer import OfferedHeads
from secaplane.audit.tenant_export.folder import VERSION
from secaplane.audit.tenant_export.writing import ExportedFile

MEDIA_TYPE = "application/x-tar"
_MODE = 0o644
_END = bytes(2 * tarfile.BLOCKSIZE)
_NAME_DIGITS = 32
_encode = msgspec.json.Encoder(order="sorted").encode


class ContinuedExport(NamedTuple):
    """An archive of which the client has a part: its name, and the number of bytes it has."""

    name: str
    offset: int

    @property
    def sequence(self) -> int:
        """Of the entry about heads; 0 where the name is none."""
        text = self.name.partition("-")[0]
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


class ExportedArchive(NamedTuple):
    """The name of an archive, and its bytes."""

    name: str
    pieces: AsyncGenerator[bytes, None]


def archive_name(life: str, offer: OfferedHeads, seen: Mapping[str, Sequence[int]]) -> str:
    """The name of an archive. Two of one name have the same bytes: they are made from the same
    heads, under the same checkpoints, for the same earlier ones."""
    made_from = _encode([VERSION, life, offer, {each: sorted(seen[each]) for each in seen}])
    return f"{offer.entry.sequence}-{hashlib.sha256(made_from).hexdigest()[:_NAME_DIGITS]}"


async def after(pieces: AsyncGenerator[bytes, None], offset: int) -> AsyncGenerator[bytes, None]:
    """The bytes from an offset on; none where there are not so many."""
    async for piece in pieces:
        if offset < len(piece):
            yield piece[offset:]
        offset = max(0, offset - len(piece))


async def archived(
    files: AsyncGenerator[ExportedFile, None], folder: str
) -> AsyncGenerator[bytes, None]:
    """The bytes of an archive with the files below a folder. Without its last bytes it is not
    complete, which `tar` says."""
    async for path, data in files:
        member = tarfile.TarInfo(f"{folder}/{path}")
        member.size, member.mode = len(data), _MODE
        yield member.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % tarfile.BLOCKSIZE)
    yield _END
