"""Subcommands for people who run a house."""

import os
from pathlib import Path

import msgspec

from cli.config import BadConfig, Config
from cli.connect import grounded
from eventlog.sealing import Keyring
from projector.retry import retry


async def retry_quarantine(config: Config) -> int:
    """0 when the quarantine is empty afterwards."""
    async with grounded(config, writes_tables=True) as ground:
        still = await retry(
            ground.pool, ground.log, stream=config.nats.stream, region=config.site.region
        )
    for ref, reason in still.items():
        print(f"{ref.kind} {ref.path}: {reason}")
    return 1 if still else 0


def make_keyring(file: Path) -> None:
    """Raises BadConfig rather than overwrite: who loses a keyring loses the secrets."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from error
    with os.fdopen(fd, "wb") as out:
        out.write(msgspec.json.encode(Keyring.fresh()))
