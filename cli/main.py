"""Secaplane: an event-sourced (CQRS) control plane for the Sovereign European Cloud API (SECA).

`dev` runs everything on one machine. In production each process runs by itself: command, query,
projector, reconcilers (and cloud, if the simulated cloud is used). The other commands are for
operators and need no token; most connect to NATS and PostgreSQL directly. All but `keyring`
read the TOML file of --config and the variables SECAPLANE_*.
"""

import argparse
import sys

from secaplane.cli.dev import arguments as dev
from secaplane.cli.operate import arguments as operate
from secaplane.cli.processes import arguments as processes
from secaplane.cli.settings import BadConfig
from secaplane.edge.serving.server import CannotListen
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal

USAGE_ERROR = 2


def main(argv: list[str] | None = None) -> int:
    """The exit status: 0 done, 1 refused or unavailable, 2 wrong arguments or configuration."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except (BadConfig, CannotListen) as error:
        print(f"secaplane: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (LogUnavailable, Refusal) as error:
        print(f"secaplane: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="secaplane",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="`secaplane COMMAND --help` describes a command.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    dev.add_to(commands)
    processes.add_to(commands)
    operate.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
