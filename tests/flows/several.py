"""A control plane with a second process that serves reads."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from secaplane.cli.config import Config
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import DevPlane, free_port
from secaplane.cli.dev.supervisor import ChildProcess
from tests.plane import RunningPlane, running_plane


@asynccontextmanager
async def several(settings: Config | None = None) -> AsyncIterator[tuple[RunningPlane, str]]:
    """The control plane, and the URL of its `query` process."""
    async with running_plane(settings=settings) as made:
        child, port = _query(made.dev)
        await made.children.start(child)
        await made.children.ready(child.name)
        yield made, f"http://{HOST}:{port}"


def _query(dev: DevPlane) -> tuple[ChildProcess, int]:
    as_one, port = dev.process("serve"), free_port()
    argv = tuple("query" if each == "serve" else each for each in as_one.argv)
    environment = as_one.environment | {
        "SECAPLANE_HTTP_PORT": str(port),
        "SECAPLANE_NATS_URL": dev.nats("projector"),
    }
    return replace(as_one, name="query", argv=argv, environment=environment), port
