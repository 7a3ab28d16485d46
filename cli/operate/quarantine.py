"""`secaplane retry`: project quarantined events again."""

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.model.shape import Ref
from secaplane.projector.groups import groups
from secaplane.projector.retry import retry
from secaplane.readmodel.schema.active import find
from secaplane.readmodel.schema.tables import open_pool


async def retry_quarantine(config: Config) -> int:
    """Prints the resources that stay in quarantine in any projection group, with reasons. Exit
    status 0 if there are none.

    Raises:
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    remaining = dict[Ref, str]()
    async with with_deadline(process_dependencies(config)) as process:
        for group in groups():
            read_model = await find(config.postgres.url, group.tables)
            pool = await open_pool(config.postgres.url, schema=read_model, writes=True)
            try:
                remaining |= await retry(pool, process.log, group, region=config.site.region)
            finally:
                pool.terminate()
    for ref, reason in remaining.items():
        print(f"{ref.kind} {ref.path}: {reason}")
    return 1 if remaining else 0
