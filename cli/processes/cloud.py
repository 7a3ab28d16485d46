"""The process of the simulated cloud."""

from pathlib import Path

from secaplane.cli.config import Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.cli.processes.monitor import monitored
from secaplane.cli.processes.tls import server_context
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.health import Readiness
from secaplane.edge.serving.metrics import Metrics
from secaplane.plugins.simulated import server


async def run(config: Config, announce: Announce) -> None:
    """Serves the cloud at `cloud.url`.

    Raises:
        BadConfig: its catalogue or its faults cannot be used.
    """
    scheme, _, address = config.cloud.url.rpartition("://")
    host, _, port = address.partition(":")
    try:
        if (scheme == "https") != bool(config.tls.certificate):
            raise ValueError(
                "cloud.url begins with https where tls.certificate is set, and only then"
            )
        listens = False

        def announced(actual: int) -> None:
            nonlocal listens
            listens = True
            announce(Announcement(port=actual))

        async with monitored(config, lambda: Readiness(listens), Metrics()):
            await server.run(
                host=host,
                port=int(port or 0),
                file=Path(config.cloud.file),
                catalogue=Path(config.cloud.catalogue) if config.cloud.catalogue else None,
                region=config.site.region,
                token=config.cloud.shared_token(),
                faults=config.cloud.faults or None,
                tls=server_context(config.tls),
                announce=announced,
            )
    except (OSError, ValueError) as error:
        raise BadConfig(f"cloud: {error}") from error
