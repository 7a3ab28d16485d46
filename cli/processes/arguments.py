"""The command lines of the processes. Each imports only its own modules, when it is started."""

import argparse
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from secaplane.cli.config import Config, read
from secaplane.cli.processes import gc_tuning, logs, malloc_tuning
from secaplane.cli.processes.announce import Announce, Announcement, to_parent
from secaplane.cli.running import StopRequest, run, run_until_stopped

PROCESSES = {
    "command": "serve writes: decide commands and append events to the log",
    "query": "serve reads from the read model",
    "serve": "serve writes and reads on one port: command and query in one process",
    "projector": "follow the log and keep the read models current; or rebuild them",
    "reconcilers": "drive the cloud through the plugin until it matches the desired state",
    "notary": "keep the Merkle logs of the streams and sign their checkpoints",
    "cloud": "run the simulated cloud",
}

ENDS = "SIGTERM ends it when what is in flight is done; a second one ends it at once."

END_S_MAX = 5.0
"""Time for what follows after requests and calls in flight: connections, background tasks."""

Process = Callable[[StopRequest], Coroutine[Any, Any, None]]


def add_to(commands: Any) -> None:
    for name, help_text in PROCESSES.items():
        process = commands.add_parser(
            name,
            help=help_text,
            description=f"{help_text[0].upper()}{help_text[1:]}. {ENDS}",
        )
        process.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
        process.set_defaults(run=_process, process=name)
        if name == "projector":
            _add_read_models(process.add_subparsers(metavar="COMMAND", title="commands"))
        if name == "notary":
            _add_keys(process.add_subparsers(metavar="COMMAND", title="commands"))


def _add_read_models(commands: Any) -> None:
    for name, run_command, help_text in (
        ("rebuild", _rebuild, "fill new read models from the log, then switch readers to them"),
        ("retire", _retire, "drop the read models that are no longer read"),
    ):
        command = commands.add_parser(
            name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."
        )
        _add_config(command)
        command.add_argument(
            "--group", default="", metavar="NAME", help="one projection group; default: all"
        )
        command.set_defaults(run=run_command)


def _add_keys(commands: Any) -> None:
    help_text = "create the signing keys that are missing, and print the public ones"
    keys = commands.add_parser(
        "keys", help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}."
    )
    _add_config(keys)
    keys.add_argument(
        "--rotate", action="store_true", help="add one more key for each log; all of them sign"
    )
    keys.set_defaults(run=_keys)


def _add_config(command: Any) -> None:
    """SUPPRESS, because a default of None would override a --config before the subcommand."""
    command.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="TOML file with settings",
    )


def _process(arguments: argparse.Namespace) -> int:
    gc_tuning.starting()
    malloc_tuning.starting()
    config, name = read(arguments.config), arguments.process
    logs.set_up(name)
    announce = _after_tuning(to_parent(os.environ))
    if name == "cloud":  # stands for a cloud: it is no part of the control plane
        from secaplane.cli.processes import cloud

        return run(lambda: cloud.run(config, announce))
    from secaplane.cli.processes.lifecycle.process_life import life

    process = _coroutine(name, config, announce)
    ends_within_s = sum(config.stopping.drain()) + END_S_MAX
    return life(config, name).recorded(
        lambda: run_until_stopped(process, ends_within_s=ends_within_s)
    )


def _coroutine(name: str, config: Config, announce: Announce) -> Process:
    match name:
        case "projector":
            from secaplane.cli.processes import projector

            return lambda stop: projector.run(config, announce, stop)
        case "reconcilers":
            from secaplane.cli.processes import reconcilers

            return lambda stop: reconcilers.run(config, announce, stop)
        case "notary":
            from secaplane.cli.processes import notary

            return lambda stop: notary.run(config, announce, stop)
    from secaplane.cli.processes import serve

    side: Any = name
    return lambda stop: serve.run(side, config, announce, stop)


def _after_tuning(announce: Announce) -> Announce:
    def ready(announcement: Announcement) -> None:
        gc_tuning.ready()
        announce(announcement)

    return ready


def _rebuild(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import read_models

    logs.set_up("rebuild", "WARNING")
    return run(lambda: read_models.rebuild_now(read(arguments.config), arguments.group))


def _retire(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import read_models

    logs.set_up("retire", "WARNING")
    return run(lambda: read_models.retire_now(read(arguments.config), arguments.group))


def _keys(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import notary_keys

    return notary_keys.create_keys(read(arguments.config), rotate=arguments.rotate)
