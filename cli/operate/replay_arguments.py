"""The command line of `secaplane replay`."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.processes import gc_tuning, logs
from secaplane.cli.running import run
from secaplane.cli.settings import BadConfig

ABOUT = "make read models from the log alone: as they were then, or to check the live ones"
DETAILS = """
With --until and --into, an empty database gets the read models as they were at a time or position.
With --check, the rows are made again beside the live ones and compared one by one. Both may be
killed: the same command resumes. No plugin is called, and nothing is written to the log.
Exit status 0 done, or nothing differs; 1 a row differs, or a reason is printed; 2 wrong arguments.
"""


def add_to(commands: Any) -> None:
    command = commands.add_parser(
        "replay", help=ABOUT, description=f"{ABOUT[0].upper()}{ABOUT[1:]}. {DETAILS}"
    )
    command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    command.add_argument(
        "--until",
        metavar="TIME|POSITION",
        help="a time such as 2026-01-31T12:00:00Z, or a position such as SECA:73; with several"
        " streams one in each, separated by commas",
    )
    command.add_argument(
        "--into",
        metavar="URL",
        help="postgresql://... of an empty database, for the owner of its tables; a password may be"
        " in PGPASSWORD or in a password file",
    )
    command.add_argument("--check", action="store_true", help="compare the live rows with the log")
    command.add_argument(
        "--group", default="", metavar="NAME", help="with --check: one projection group"
    )
    command.set_defaults(run=_replay)


def _replay(arguments: argparse.Namespace) -> int:
    gc_tuning.starting()
    from secaplane.cli.operate import replay

    gc_tuning.filling()
    logs.set_up("replay", "WARNING")
    config, into, until = read(arguments.config), arguments.into, arguments.until
    if arguments.check and not (into or until):
        return run(lambda: replay.check_now(config, arguments.group))
    if arguments.check or arguments.group or not (into and until):
        raise BadConfig("replay takes --until and --into, or --check")
    if not into.startswith(("postgresql://", "postgres://")):
        raise BadConfig("--into takes the URL of a database: postgresql://...")
    parsed = replay.until_of(until)
    return run(lambda: replay.replay_into(config, into, parsed))
