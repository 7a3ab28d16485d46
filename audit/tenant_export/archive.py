"""The files of an export as one tar stream (POSIX.1-1988 ustar), written as they come. Memory holds
one of them. Pure."""

import tarfile
from collections.abc import AsyncGenerator

from secaplane.audit.tenant_export.writing import ExportedFile

MEDIA_TYPE = "application/x-tar"
_MODE = 0o644
_END = bytes(2 * tarfile.BLOCKSIZE)


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
