"""Subcommands for people who run a house."""

import os
from hashlib import blake2b
from pathlib import Path
from uuid import uuid4

import msgspec

from secaplane.cli.config import BadConfig, Config
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.cli.processes.wiring import command_dependencies
from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Put
from secaplane.command.submit import submit
from secaplane.kinds import KINDS
from secaplane.model.document import encode
from secaplane.model.events import Actor
from secaplane.model.shape import Json
from secaplane.projector.retry import retry
from secaplane.sealing.sealer import Keyring


async def retry_quarantine(config: Config) -> int:
    """0 when the quarantine is empty afterwards."""
    async with with_deadline(process_dependencies(config, writes_tables=True)) as process:
        still = await retry(process.pool, process.log, region=config.site.region)
    for ref, reason in still.items():
        print(f"{ref.kind} {ref.path}: {reason}")
    return 1 if still else 0


async def revoke(config: Config, spec: Json) -> int:
    """Straight into the log: it works without any token, whatever became of the issuers.

    Raises:
        Unanswered, Refusal.
    """
    kind = KINDS["revocation"]
    wanted = BodyReader(region=config.site.region).read(kind, {"spec": spec}).spec
    name = blake2b(encode(wanted), digest_size=8).hexdigest()
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        await submit(
            command_dependencies(process, config),
            kind.ref({}, name),
            Put(spec=wanted),
            actor=Actor(sub="secaplane revoke"),
            request=uuid4().hex,
        )
    print(f"revocation {name}; delete it to let the tokens in again")
    return 0


def make_keyring(file: Path) -> None:
    """Raises BadConfig rather than overwrite: who loses a keyring loses the secrets."""
    try:
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadConfig(f"{file}: {error.strerror}") from error
    with os.fdopen(fd, "wb") as out:
        out.write(msgspec.json.encode(Keyring.generate()))
