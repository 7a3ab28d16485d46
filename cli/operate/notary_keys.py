"""`secaplane notary keys`: create the signing keys of the notary, and print the public ones."""

import os
import secrets
from pathlib import Path

from secaplane.audit.tlog.signed_notes import SEED_BYTES, NoteSigner
from secaplane.cli.config import Config
from secaplane.cli.processes.notary import followed_streams, origin
from secaplane.cli.settings import BadConfig


def create_keys(config: Config, *, rotate: bool) -> int:
    """Add a key for each stream that has none; with `rotate` one more for each stream. Prints one
    line of a policy (c2sp.org/tlog-policy) for each key in the file.

    Raises:
        BadConfig: the settings of the notary are incomplete, or the file cannot be used.
    """
    if not config.notary.keys or not config.notary.origin:
        raise BadConfig("notary.keys and notary.origin are not set")
    file = Path(config.notary.keys)
    try:
        signers = _read(file)
        names = {each.public.name for each in signers}
        for stream in followed_streams(config):
            name = origin(config, stream)
            if rotate or name not in names:
                signers.append(NoteSigner(name, secrets.token_bytes(SEED_BYTES)))
        _replace(file, "".join(f"{each.secret_text}\n" for each in signers))
    except (OSError, ValueError) as error:
        raise BadConfig(f"notary.keys: {error}") from error
    for each in signers:
        print(f"log {each.public.text}")
    return 0


def _read(file: Path) -> list[NoteSigner]:
    if not file.exists():
        return []
    return [NoteSigner.parse(line) for line in file.read_text().splitlines() if line.strip()]


def _replace(file: Path, text: str) -> None:
    """Write a file that only its owner can read, and put it in the place of another."""
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    new.rename(file)
