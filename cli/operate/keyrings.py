"""`secaplane keyring` creates a keyring file, `secaplane keys generate` a key in an HSM."""

import os
from pathlib import Path

import msgspec

from secaplane.cli.config import Config
from secaplane.cli.processes.keys import hsm_wrapper
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


async def generate(config: Config) -> int:
    """Raises BadConfig where the HSM is not configured, or refuses."""
    wrapper, label = hsm_wrapper(config.keys), config.keys.hsm_key
    from secaplane.sealing.keys.hsm import HsmWrapper

    assert isinstance(wrapper, HsmWrapper), "it was asked for"
    try:
        made = await wrapper.generate()
    except OSError as error:  # of which a time-out is one
        raise BadConfig(f"the key was not generated: {error}") from error
    print(f"generated {label}" if made else f"the token has a key {label}")
    return 0
