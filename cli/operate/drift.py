"""`secaplane drift list`: what the cloud holds that the log does not know as living."""

import sys

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import process_dependencies, with_deadline
from secaplane.cli.processes.reconcilers import configured_plugin
from secaplane.cli.processes.wiring import command_dependencies
from secaplane.reconcilers.drift.answers import NoAnswer, inventory
from secaplane.reconcilers.drift.lookup import judged


async def print_inventory(config: Config) -> int:
    """Prints one line for each such resource: gone or unknown, kind, path, uid. Exit status 1 if
    the cloud cannot list what it holds, or does not answer.

    Raises:
        BadConfig: the plugin is not installed or refuses its settings.
        LogUnavailable: NATS or PostgreSQL is unavailable.
    """
    plugin = configured_plugin(config)
    if not plugin.lists_inventory:
        return _failed("the cloud of this plugin cannot list what it holds")
    async with with_deadline(process_dependencies(config)) as process:
        commands = command_dependencies(process, config)
        try:
            async for page in inventory(plugin):
                for each in await judged(commands, process.pool, page):
                    item = each.item
                    print(f"{each.presence.value} {item.kind} {item.path or '-'} uid {item.uid}")
        except NoAnswer as error:
            return _failed(f"the cloud did not list what it holds: {error}")
        finally:
            await plugin.close()
    return 0


def _failed(reason: str) -> int:
    print(f"secaplane: {reason}", file=sys.stderr)
    return 1
