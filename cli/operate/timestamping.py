"""`secaplane audit timestamp`: time stamps of an authority (RFC 3161) on the newest checkpoints."""

import asyncio
import sys

import aiohttp

from secaplane.audit.notary.tile_folder import TileFolder
from secaplane.audit.timestamps.folder import CHECKPOINT, TOKEN, stamp_path
from secaplane.audit.timestamps.tokens import (
    REQUEST_TYPE,
    TOKEN_BYTES_MAX,
    TimestampsNotInstalled,
    WrongTimestamp,
    granted_at,
    requested,
)
from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.signed_notes import WrongNote
from secaplane.cli.config import Config
from secaplane.cli.processes.notary import followed_streams
from secaplane.cli.processes.notary_files import log_files
from secaplane.cli.settings import BadConfig

ANSWER_S_MAX = 30.0


async def timestamp(config: Config) -> int:
    """Exit status 0: each log has a time stamp on its newest checkpoint; 1: the authority has given
    none for one of them.

    Raises:
        BadConfig: the settings name no folder or no authority, or a part is not installed.
    """
    if not config.notary.timestamp_url:
        raise BadConfig("notary.timestamp_url is not set")
    files = log_files(config)
    failed = False
    timeout = aiohttp.ClientTimeout(total=ANSWER_S_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        for stream in followed_streams(config):
            folder = TileFolder(files, stream)
            try:
                print(f"{stream}: {await _stamp(session, config.notary.timestamp_url, folder)}")
            except TimestampsNotInstalled as error:
                raise BadConfig(str(error)) from error
            except (aiohttp.ClientError, OSError, WrongTimestamp, WrongNote) as error:
                failed = True
                print(f"{stream}: {error or type(error).__name__}", file=sys.stderr)
    return int(failed)


async def _stamp(session: aiohttp.ClientSession, url: str, folder: TileFolder) -> str:
    """Get and store a stamp on the newest checkpoint, unless its size has one."""
    data = await asyncio.to_thread(folder.newest_checkpoint)
    if data is None:
        raise WrongNote("there is no log")
    size = parse_checkpoint(data).head.size
    if folder.has(stamp_path(size, TOKEN)):
        return f"{size} events have a time stamp already"
    request = requested(data)
    headers = {"Content-Type": REQUEST_TYPE}
    async with session.post(
        url, data=request.body, headers=headers, allow_redirects=False
    ) as answer:
        token = await _body(answer)
        if answer.status != 200:
            raise WrongTimestamp(f"the authority answers {answer.status}")
    time = granted_at(token, data, request)
    await asyncio.to_thread(folder.write_public, stamp_path(size, CHECKPOINT), data)
    await asyncio.to_thread(folder.write_public, stamp_path(size, TOKEN), token)
    return f"{size} events at {time.isoformat()}"


async def _body(answer: aiohttp.ClientResponse) -> bytes:
    token = b""
    async for piece in answer.content.iter_chunked(TOKEN_BYTES_MAX):
        token += piece
        if len(token) > TOKEN_BYTES_MAX:
            raise WrongTimestamp(f"the answer has more than {TOKEN_BYTES_MAX} bytes")
    return token
