"""`secaplane retry`: project quarantined events again."""

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.projector.retry import retry


async def retry_quarantine(config: Config) -> int:
    """Prints the resources that stay in quarantine, with reasons; exit status 0 if there are none.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    async with with_deadline(process_dependencies(config, writes_tables=True)) as process:
        remaining = await retry(process.pool, process.log, region=config.site.region)
    for ref, reason in remaining.items():
        print(f"{ref.kind} {ref.path}: {reason}")
    return 1 if remaining else 0
