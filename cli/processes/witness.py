"""The witness process: cosigns checkpoints of logs over HTTP (c2sp.org/tlog-witness).

It belongs to those who do not operate the logs, so it has no configuration file of the control
plane: a policy with the logs, a key and a folder.
"""

import asyncio
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response, post

from secaplane.audit.notary.checkpoint_witness import CheckpointWitness, WitnessInUse
from secaplane.audit.tlog.cosignatures import Cosigner
from secaplane.audit.tlog.policies import parse_policy
from secaplane.audit.tlog.witness_protocol import OTHER_SIZE, PATH, SIZE_TYPE
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.running import StopRequest
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving import app
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving

REQUEST_BYTES_MAX = 64 * 1024


class WitnessFiles(NamedTuple):
    """The files of a witness: a policy whose `log` lines are cosigned, its key, its heads."""

    policy: Path
    key: Path
    folder: Path


async def run(
    files: WitnessFiles, host: str, port: int, announce: Announce, stop: StopRequest
) -> None:
    """Serve until stopped.

    Raises:
        BadConfig: a file cannot be used, or another process uses the folder.
    """
    try:
        logs = parse_policy(files.policy.read_text())
        cosigner = Cosigner.parse(files.key.read_text().strip())
    except (OSError, ValueError) as error:
        raise BadConfig(f"the witness: {error}") from error
    witness, one_at_a_time = CheckpointWitness(files.folder, logs, [cosigner]), asyncio.Lock()

    @post(f"/{PATH}", name="add-checkpoint")
    async def add_checkpoint(request: Request[Any, Any, Any]) -> Response[str]:
        body = await request.body()
        async with one_at_a_time:
            made = await asyncio.to_thread(witness.add_checkpoint, body)
        media_type = SIZE_TYPE if made.status == OTHER_SIZE else "text/plain"
        return Response(made.body, status_code=made.status, media_type=media_type)

    sizes = app.RequestLimits(body_bytes_max=REQUEST_BYTES_MAX)
    try:
        with witness.locked():
            listening = listen(host, port)
            built = app.build([add_checkpoint], metrics=Metrics(), sizes=sizes)
            async with serving(built, listening):
                announce(Announcement(port=listening.getsockname()[1]))
                await stop.received()
    except WitnessInUse as error:
        raise BadConfig(str(error)) from error
