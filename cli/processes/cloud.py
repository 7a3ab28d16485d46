"""The process of the simulated cloud."""

import os
from pathlib import Path

from secaplane.cli.config import BadConfig, Config
from secaplane.cli.processes.announce import Announce, Announcement
from secaplane.plugins.simulated import server

BACKGROUND_NICE = 10
"""Low priority: processes that answer users go first."""


async def run(config: Config, announce: Announce) -> None:
    """Serves the cloud at `cloud.url`.

    Raises:
        BadConfig: its catalogue or its faults cannot be used.
    """
    os.nice(BACKGROUND_NICE)
    host, _, port = config.cloud.url.removeprefix("http://").partition(":")
    try:
        await server.run(
            host=host,
            port=int(port or 0),
            file=Path(config.cloud.file),
            catalogue=Path(config.cloud.catalogue) if config.cloud.catalogue else None,
            region=config.site.region,
            faults=config.cloud.faults or None,
            announce=lambda actual: announce(Announcement(port=actual)),
        )
    except ValueError as error:
        raise BadConfig(f"cloud: {error}") from error
