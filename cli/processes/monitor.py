"""The monitor port: health, readiness with reasons, metrics; and the port for health checks."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from secaplane.cli.config import Config
from secaplane.edge.serving import app, health
from secaplane.edge.serving.metrics import Metrics
from secaplane.edge.serving.server import listen, serving

LOOPBACK = "127.0.0.1"


@asynccontextmanager
async def monitored(
    config: Config, readiness: Callable[[], health.Readiness], metrics: Metrics
) -> AsyncIterator[int]:
    """Serves the two ports until the context ends, each if it is configured; yields the monitor
    port, 0 without one."""
    settings, port = config.monitor, 0
    async with AsyncExitStack() as stack:
        if settings.check_port is not None:
            # In clear on loopback, so that a check needs neither TLS nor an interpreter.
            checked = app.build(health.routes(readiness, metrics, details=False), metrics=metrics)
            listening = listen(LOOPBACK, settings.check_port)
            await stack.enter_async_context(serving(checked, listening))
        if settings.port is not None:
            routes = health.routes(readiness, metrics, details=True)
            listening = listen(settings.host, settings.port)
            monitor = app.build(routes, metrics=metrics)
            await stack.enter_async_context(serving(monitor, listening, tls=config.tls))
            port = listening.getsockname()[1]
        yield port
