"""The command lines of `secaplane audit`."""

import argparse
from pathlib import Path
from typing import Any, get_args

from secaplane.cli.config import read
from secaplane.cli.operate import evidence_arguments, history_arguments, witness_arguments
from secaplane.cli.processes import logs
from secaplane.cli.running import run, run_until_stopped

STOP_S_MAX = 20.0
"""Time for a delivery in flight after a signal."""


def add_to(commands: Any) -> None:
    about = "read the security audit stream; export and verify the history"
    audit = commands.add_parser("audit", help=about, description=f"{about.capitalize()}.")
    actions = audit.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _add_entries(actions)
    _add_stream(actions)
    history_arguments.add_to(actions)
    witness_arguments.add_to(actions)
    evidence_arguments.add_to(actions)


def _add_entries(actions: Any) -> None:
    about = "print refused requests and writes, logins and reads of privileged kinds"
    entries = actions.add_parser(
        "entries", help=about, description=f"{about.capitalize()}. Oldest entry first."
    )
    entries.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    entries.add_argument(
        "--since", default="", help="90s, 30m, 1h or 7d ago, or a time (RFC 3339); default: all"
    )
    entries.add_argument("--caller", default="", metavar="SUB", help="only entries of this caller")
    entries.add_argument("--json", action="store_true", help="print one JSON object a line")
    entries.set_defaults(run=_entries)


def _entries(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import audit

    logs.set_up("audit", "WARNING")
    config, since, caller = read(arguments.config), arguments.since, arguments.caller
    as_json = arguments.json
    return run(lambda: audit.print_entries(config, since=since, caller=caller, as_json=as_json))


def _add_stream(actions: Any) -> None:
    from secaplane.audit.siem.formats import FormatName

    about = "export every event and every audit entry to a SIEM, and go on with new ones"
    details = (
        "One JSON object a line, without secrets. A state file says up to which positions the sink "
        "has everything; after a restart the export goes on there. SIGTERM ends it."
    )
    stream = actions.add_parser(
        "stream", help=about, description=f"{about.capitalize()}. {details}"
    )
    option = stream.add_argument
    option("--config", type=Path, metavar="FILE", help="TOML file with settings")
    option("--format", required=True, choices=get_args(FormatName), help="format of a line")
    option(
        "--to",
        default="",
        metavar="SINK",
        help="FILE, syslog://HOST:PORT (TCP), syslog+tls://HOST:PORT, or https://...; default: "
        "standard output",
    )
    option(
        "--state",
        default="",
        metavar="FILE",
        help="state file; default: FILE.state for a file, none for standard output",
    )
    option(
        "--after",
        default="",
        metavar="POSITION",
        help="begin after these positions, such as SECA:73,SECA-audit:9; default: the beginning",
    )
    option("--once", action="store_true", help="end when everything up to now is delivered")
    option("--ca", default="", metavar="FILE", help="authorities that sign the sink's certificate")
    option(
        "--headers",
        default="",
        metavar="FILE",
        help="headers of HTTP requests, such as Authorization: Bearer ..., one a line",
    )
    option("--monitor", type=int, metavar="PORT", help="serve readiness and metrics on this port")
    stream.set_defaults(run=_stream)


def _stream(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import audit_stream

    logs.set_up("audit-stream")
    asked = audit_stream.ExportRequest(
        format=arguments.format,
        to=arguments.to,
        state=arguments.state,
        after=arguments.after,
        once=arguments.once,
        ca=arguments.ca,
        headers=arguments.headers,
        monitor=arguments.monitor,
    )
    config = read(arguments.config)
    return run_until_stopped(
        lambda stop: audit_stream.export(config, asked, stop), ends_within_s=STOP_S_MAX
    )
