"""`secaplane revoke`: append a revocation of tokens to the log."""

from hashlib import blake2b
from uuid import uuid4

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.cli.processes.wiring import command_dependencies
from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Put
from secaplane.command.submit import submit
from secaplane.kinds import KINDS
from secaplane.model.actor import Actor
from secaplane.model.document import encode
from secaplane.model.shape import Json


async def revoke(config: Config, spec: Json) -> int:
    """Needs no token, so it works when an issuer is compromised or unavailable. The same spec twice
    is one revocation: its name is a digest of the spec.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
        Refusal: the spec is not valid.
    """
    kind = KINDS["revocation"]
    desired = BodyReader(region=config.site.region).read(kind, {"spec": spec}).spec
    name = blake2b(encode(desired), digest_size=8).hexdigest()
    async with with_deadline(process_dependencies(config, writes_log=True)) as process:
        await submit(
            command_dependencies(process, config),
            kind.ref({}, name),
            Put(spec=desired),
            actor=Actor(sub="secaplane revoke"),
            request=uuid4().hex,
        )
    print(f"revocation {name}; delete it to accept the tokens again")
    return 0
