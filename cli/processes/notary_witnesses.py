"""Submits the checkpoints of the notary to the witnesses of a policy, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from secaplane.audit.notary.cosigning import ROUND_S_MAX, Cosigning, WitnessLink
from secaplane.audit.notary.log_files import LogFiles
from secaplane.audit.notary.stream_notary import StreamNotary
from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.policies import TlogPolicy, parse_policy
from secaplane.audit.tlog.signed_notes import SignedNote
from secaplane.cli.config import Config
from secaplane.cli.settings import BadConfig

ANSWER_S_MAX = 5.0
ANSWER_BYTES_MAX = 64 * 1024
RETRY_S = 2.0
"""After a round without a quorum; a later checkpoint is submitted at once."""


class WitnessSubmission:
    """The submissions of one log."""

    def __init__(self, notary: StreamNotary, folder: TileFolder, cosigning: Cosigning) -> None:
        self._notary, self._folder, self.cosigning = notary, folder, cosigning

    async def run(self) -> None:
        """Submit every checkpoint, or the newest where they come faster than cosignatures."""
        async with self.cosigning.asking():
            while True:
                await self._notary.signed.wait()
                self._notary.signed.clear()
                while not await self._submit_newest():
                    await self._signed_or_after(RETRY_S)

    async def _submit_newest(self) -> bool:
        data = await asyncio.to_thread(self._folder.checkpoint)
        if data is None:
            return False
        checkpoint = parse_checkpoint(data)
        return not checkpoint.head.size or await self.cosigning.round(checkpoint)

    async def _signed_or_after(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._notary.signed.wait()
        except TimeoutError:
            return
        self._notary.signed.clear()


@asynccontextmanager
async def submitting(
    config: Config, notaries: Sequence[StreamNotary], files: LogFiles
) -> AsyncIterator[list[WitnessSubmission]]:
    """The submissions of every log to the witnesses of `notary.policy`; none without a policy.

    Raises:
        BadConfig: the policy cannot be used.
    """
    policy = _policy(config)
    if policy is None or not policy.witnesses:
        yield []
        return
    timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX, connect=ROUND_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def post(url: str, body: bytes) -> tuple[int, str]:
            try:
                async with session.post(url, data=body, allow_redirects=False) as answer:
                    content = await _content(answer)
                    return answer.status, content.decode(errors="replace")
            except aiohttp.ClientError as error:
                raise OSError(str(error)) from error

        submissions = list[WitnessSubmission]()
        for notary in notaries:
            tiles = TileFolder(files, notary.stream)
            links = {
                name: WitnessLink(name, witness, tiles.read, post)
                for name, witness in policy.witnesses.items()
            }
            cosigning = Cosigning(policy, links, partial(_publish, tiles))
            submissions.append(WitnessSubmission(notary, tiles, cosigning))
        yield submissions


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_chunked(4096):
        content += chunk
        if len(content) > ANSWER_BYTES_MAX:
            raise OSError(f"an answer of more than {ANSWER_BYTES_MAX} bytes")
    return bytes(content)


async def _publish(folder: TileFolder, note: SignedNote) -> None:
    await asyncio.to_thread(write_newer, folder, note.written.encode())


def write_newer(folder: TileFolder, data: bytes) -> None:
    """Write a cosigned checkpoint, unless one of a larger tree is there: another notary of the same
    bucket may have been faster."""
    size = parse_checkpoint(data).head.size
    with folder.locked():
        while True:
            before = folder.cosigned()
            if before is not None and parse_checkpoint(before).head.size > size:
                return
            if folder.write_cosigned(data, before):
                return


def _policy(config: Config) -> TlogPolicy | None:
    if not config.notary.policy:
        return None
    try:
        policy = parse_policy(Path(config.notary.policy).read_text())
    except (OSError, ValueError) as error:
        raise BadConfig(f"notary.policy: {error}") from error
    without = [name for name, witness in policy.witnesses.items() if not witness.url]
    if without:
        raise BadConfig(f"notary.policy: no address of the witnesses {', '.join(without)}")
    return policy
