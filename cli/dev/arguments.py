"""The command line of `secaplane dev`."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.running import run


def add_to(commands: Any) -> None:
    dev = commands.add_parser(
        "dev",
        help="run everything on this machine, NATS and PostgreSQL included",
        description="Run everything on this machine, NATS and PostgreSQL included. Creates "
        "a tenant and prints a token of its administrator. Processes that die are restarted; "
        "Ctrl-C stops everything.",
    )
    dev.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    dev.add_argument(
        "--port",
        type=int,
        help="port of the API; 0 takes a free one; default: that of the configuration, 8080",
    )
    dev.add_argument(
        "--folder",
        type=Path,
        default=Path(".secaplane"),
        help="folder of data, keys and logs, created if absent; default: .secaplane",
    )
    dev.add_argument(
        "--ephemeral", action="store_true", help="use a temporary folder, removed at the end"
    )
    dev.add_argument(
        "--json",
        action="store_true",
        help="print one line of JSON when ready: addresses, tokens and process ids",
    )
    dev.set_defaults(run=_dev)


def _dev(arguments: argparse.Namespace) -> int:
    from secaplane.cli.dev import command

    return run(
        lambda: command.run(
            read(arguments.config),
            folder=None if arguments.ephemeral else arguments.folder,
            port=arguments.port,
            as_json=arguments.json,
        )
    )
