"""`secaplane keyring`: create a keyring file."""

import os
from pathlib import Path

import msgspec

from secaplane.cli.settings import BadConfig
from secaplane.sealing.sealer import Keyring


def create_keyring(file: Path) -> int:
    """Raises BadConfig if the file exists: secrets sealed with a lost keyring cannot be read."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from error
    with os.fdopen(fd, "wb") as out:
        out.write(msgspec.json.encode(Keyring.generate()))
    return 0
