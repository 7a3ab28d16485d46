"""The monitor port: health, readiness with reasons, metrics."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from secaplane.cli.config import Config
from secaplane.edge.serving import app, health
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving


@asynccontextmanager
async def monitored(
    config: Config, readiness: Callable[[], health.Readiness], metrics: Metrics
) -> AsyncIterator[int]:
    """Serves the monitor port until the context ends; yields the port, 0 if none is configured."""
    if config.monitor.port is None:
        yield 0
        return
    listening = listen(config.monitor.host, config.monitor.port)
    routes = health.routes(readiness, metrics, details=True)
    monitor = app.build(routes, metrics=metrics)
    async with serving(monitor, listening, tls=config.tls):
        yield listening.getsockname()[1]
