"""Serves the public part of the notary's logs: checkpoints and tiles (c2sp.org/tlog-tiles)."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request, Response, route
from litestar.handlers import HTTPRouteHandler

from secaplane.audit.notary.log_files import LogFiles
from secaplane.audit.notary.tile_folder import COSIGNED_PATH, TileFolder
from secaplane.audit.tlog.tiles import CHECKPOINT_PATH, tile_name
from secaplane.cli.config import Config
from secaplane.edge.serving import app
from secaplane.edge.serving.health import READS
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving
from secaplane.model.errors import NotFound

MUTABLE = {"cache-control": "no-cache"}
IMMUTABLE = {"cache-control": "public, max-age=31536000, immutable"}
"""A tile never changes."""


def routes(files: LogFiles, streams: Collection[str]) -> list[HTTPRouteHandler]:
    @route("/{stream:str}/{path:path}", http_method=READS, name="log")
    async def log(request: Request[Any, Any, Any], stream: str, path: str) -> Response[bytes]:
        path = _public_path(streams, stream, path.removeprefix("/"))
        data = await asyncio.to_thread(TileFolder(files, stream).public, path)
        if data is None:
            raise NotFound("the log has no such file")
        if path in (CHECKPOINT_PATH, COSIGNED_PATH):
            return Response(data, media_type="text/plain", headers=MUTABLE)
        return Response(data, media_type="application/octet-stream", headers=IMMUTABLE)

    return [log]


@asynccontextmanager
async def served_logs(
    config: Config, files: LogFiles, streams: Collection[str], metrics: Metrics
) -> AsyncIterator[int]:
    """Serves the logs while inside, if a port is configured; yields the port, 0 without one."""
    settings = config.notary
    if settings.port is None:
        yield 0
        return
    listening = listen(settings.host, settings.port)
    built = app.build(routes(files, streams), metrics=metrics)
    async with serving(built, listening, tls=config.tls):
        yield listening.getsockname()[1]


def _public_path(streams: Collection[str], stream: str, path: str) -> str:
    """A path of a log. Only paths of the format reach the disk.

    Raises:
        NotFound: not a path of a log.
    """
    if stream not in streams:
        raise NotFound("no log has this name")
    if path not in (CHECKPOINT_PATH, COSIGNED_PATH):
        try:
            tile_name(path)
        except ValueError as error:
            raise NotFound("the log has no such file") from error
    return path
