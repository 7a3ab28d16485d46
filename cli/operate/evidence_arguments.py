"""The command line of `secaplane audit report`."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.processes import logs
from secaplane.cli.running import run


def add_to(actions: Any) -> None:
    about = "write a report about one tenant: who did what, refusals, rights, gaps, proofs"
    details = (
        "The report is made from an export, which is verified first. Writes report.html and "
        "report.json. Exit status as of `verify`."
    )
    report = actions.add_parser(
        "report", help=about, description=f"{about.capitalize()}. {details}"
    )
    option = report.add_argument
    option("folder", type=Path, metavar="FOLDER", help="new, or empty")
    option("--tenant", required=True, metavar="NAME")
    option("--from", dest="begin", default="", metavar="TIME", help="30m, 7d or RFC 3339; included")
    option("--to", dest="end", default="", metavar="TIME", help="as --from; excluded; default: now")
    option("--export", type=Path, metavar="DIR", help="default: the history is exported first")
    option("--policy", type=Path, metavar="FILE", help="keys of logs and witnesses, and the quorum")
    option(
        "--seen",
        type=Path,
        metavar="CHECKPOINT",
        action="append",
        default=[],
        help="a checkpoint that you kept earlier; once for each log",
    )
    option(
        "--config", type=Path, metavar="FILE", help="TOML file; `keys.keyring` opens what is sealed"
    )
    report.set_defaults(run=_report)


def _report(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import evidence_report
    from secaplane.cli.operate.audit import moment

    logs.set_up("audit", "WARNING")
    begin = moment(arguments.begin, "--from") if arguments.begin else None
    end = moment(arguments.end, "--to") if arguments.end else None
    window = evidence_report.window_of(arguments.tenant, begin, end)
    files = evidence_report.ReportFiles(
        arguments.folder, arguments.export, arguments.policy, arguments.seen
    )
    config = read(arguments.config)
    return run(lambda: evidence_report.report(config, window, files))
