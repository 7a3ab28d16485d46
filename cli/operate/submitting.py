"""Writes of operators' commands: when one ends, every process reads what it wrote."""

import asyncio
from uuid import uuid4

from secaplane.cli.config import Config
from secaplane.cli.processes.connections import ProcessDependencies
from secaplane.cli.processes.wiring import command_dependencies
from secaplane.command.rules.commands import Command
from secaplane.command.submit import listed_in, submit
from secaplane.model.actor import Actor
from secaplane.model.shape import Ref


async def submitted(
    process: ProcessDependencies, config: Config, ref: Ref, command: Command, *, by: str
) -> None:
    """Handle a command and announce its positions; wait, for a bounded time, until the rows have
    reached them. `by` is the name of the subcommand, which the event records as its actor.

    Raises:
        Refusal: as `submit`.
        LogUnavailable: the resource is recorded, its companion may not be.
    """
    await process.acknowledgements.listen_to_readers()
    written = await submit(
        command_dependencies(process, config),
        ref,
        command,
        actor=Actor(sub=f"secaplane {by}"),
        request=uuid4().hex,
    )
    await process.acknowledgements.publish(
        ref,
        listed_in(ref),
        written.positions,
        appended_at=asyncio.get_running_loop().time(),
        elsewhere=False,
    )
    await process.progress.reached(written.positions, patient=True)
