"""The command lines of `secaplane log`."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.processes import logs
from secaplane.cli.running import run


def add_to(commands: Any) -> None:
    about = "check the log for lost events, and acknowledge them"
    log = commands.add_parser("log", help=about, description=f"{about.capitalize()}.")
    actions = log.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_check(actions)
    _add_acknowledge(actions)


def _add_check(actions: Any) -> None:
    about = "read the whole log, and compare it with rows, history and snapshots"
    details = "Prints holes, broken histories and what disagrees. Exit status 1 if there is any."
    check = actions.add_parser("check", help=about, description=f"{about.capitalize()}. {details}")
    check.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    check.add_argument("--json", action="store_true", help="print one JSON object a line")
    check.set_defaults(run=_check)


def _check(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import log_check

    logs.set_up("log", "WARNING")
    config, as_json = read(arguments.config), arguments.json
    return run(lambda: log_check.check(config, as_json=as_json))


def _add_acknowledge(actions: Any) -> None:
    about = "record that a hole stays: what was there is lost"
    details = (
        "Writes and projectors go on without it. A resource that has lost an event stays refused"
        " until it is closed (`secaplane quarantine close`)."
    )
    command = actions.add_parser(
        "acknowledge", help=about, description=f"{about.capitalize()}. {details}"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    command.add_argument("hole", metavar="HOLE", help="as `check` prints it: SECA:73, SECA:73-80")
    command.add_argument("--reason", required=True, help="recorded with your user name")
    command.set_defaults(run=_acknowledge)


def _acknowledge(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import log_check

    logs.set_up("log", "WARNING")
    config, hole, reason = read(arguments.config), arguments.hole, arguments.reason
    return run(lambda: log_check.acknowledge(config, hole, reason))
