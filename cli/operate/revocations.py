"""`secaplane revoke`: append a revocation of tokens to the log."""

from hashlib import blake2b

from secaplane.cli.config import Config
from secaplane.cli.operate.submitting import submitted
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.command.body import BodyReader
from secaplane.command.rules.commands import Put
from secaplane.kinds import KINDS
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
        await submitted(process, config, kind.ref({}, name), Put(spec=desired), by="revoke")
    print(f"revocation {name}; delete it to accept the tokens again")
    return 0
