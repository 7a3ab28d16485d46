"""`secaplane`: one subcommand for each process, and a few for people."""

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from secaplane.cli.config import BadConfig, read
from secaplane.cli.processes import gc_tuning, logs
from secaplane.cli.processes.announce import Announce, Announcement, to_parent
from secaplane.edge.serving.server import CannotListen
from secaplane.eventlog.log import LogUnavailable
from secaplane.model.errors import Refusal

PROCESSES = ("command", "query", "serve", "projector", "reconcilers", "cloud")
USAGE_ERROR = 2


def main(argv: list[str] | None = None) -> int:
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
    parser = argparse.ArgumentParser(prog="secaplane", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in PROCESSES:
        process = commands.add_parser(name, help=f"run the {name} process")
        process.add_argument("--config", type=Path, help="TOML file")
        process.set_defaults(run=_process, process=name)
        if name == "projector":
            _add_projector(process.add_subparsers(metavar="COMMAND"))
    _add_dev(commands)
    _add_people(commands)
    return parser


def _add_dev(commands: Any) -> None:
    dev = commands.add_parser("dev", help="run everything, NATS and PostgreSQL included")
    dev.add_argument("--config", type=Path, help="TOML file with a site's settings")
    dev.add_argument("--port", type=int, help="port of the API; 0 takes a free one")
    dev.add_argument("--folder", type=Path, default=Path(".secaplane"), help="where the data lie")
    dev.add_argument(
        "--ephemeral", action="store_true", help="a temporary folder, removed at the end"
    )
    dev.add_argument("--json", action="store_true", help="print one line of JSON when ready")
    dev.set_defaults(run=_dev)


def _add_projector(commands: Any) -> None:
    for name, run_, says in (
        ("rebuild", _rebuild, "make the tables anew from the log, beside those that are read"),
        ("retire", _retire, "drop all tables but those that are read"),
    ):
        command = commands.add_parser(name, help=says)
        # not None: that would hide what was said before the subcommand
        command.add_argument("--config", type=Path, default=argparse.SUPPRESS, help="TOML file")
        command.set_defaults(run=run_)


def _add_people(commands: Any) -> None:
    retry = commands.add_parser("retry", help="take what is in quarantine through the tables again")
    retry.add_argument("--config", type=Path)
    retry.set_defaults(run=_retry)
    _add_audit(commands.add_parser("audit", help="read the security audit stream"))
    revoke = commands.add_parser("revoke", help="believe a token, or somebody's, no more")
    revoke.add_argument("--config", type=Path)
    revoke.add_argument("--jti", help="the id of one token")
    revoke.add_argument("--sub", help="somebody, with the issuer's prefix; needs --before")
    revoke.add_argument("--before", help="a time (RFC 3339): what was issued before it")
    revoke.set_defaults(run=_revoke)
    keyring = commands.add_parser("keyring", help="make a keyring file")
    keyring.add_argument("file", type=Path)
    keyring.set_defaults(run=_keyring)
    _add_tenant(commands.add_parser("tenant", help="make a tenant, or delete one"))
    _add_plugin(commands.add_parser("plugin", help="test the plugin of a cloud"))
    may = commands.add_parser("may", help="whether somebody may do something, and why; or who may")
    may.add_argument("--config", type=Path)
    may.add_argument("caller", metavar="CALLER", help="a sub, with the issuer's prefix; -: who may")
    may.add_argument("verb", metavar="VERB", help="get, list, put, delete, post.start ...")
    may.add_argument("path", metavar="PATH", help="as in a URL, from /providers/ on")
    may.set_defaults(run=_may)


def _add_audit(audit: argparse.ArgumentParser) -> None:
    commands = audit.add_subparsers(required=True, metavar="COMMAND")
    entries = commands.add_parser(
        "entries", help="print refused requests, logins and reads of privileged kinds"
    )
    entries.add_argument("--config", type=Path)
    entries.add_argument("--since", default="", help="90s, 30m, 1h, 7d, or a time; default: all")
    entries.add_argument("--caller", default="", metavar="SUB", help="only entries of this caller")
    entries.add_argument("--json", action="store_true", help="print each entry as a line of JSON")
    entries.set_defaults(run=_audit_entries)


def _add_plugin(plugin: argparse.ArgumentParser) -> None:
    commands = plugin.add_subparsers(required=True, metavar="COMMAND")
    check = commands.add_parser("check", help="run the contract suite against the configured cloud")
    check.add_argument("--config", type=Path, help="TOML file")
    check.add_argument("name", metavar="NAME", help="entry point in the group secaplane.plugins")
    check.set_defaults(run=_plugin_check)


def _add_tenant(tenant: argparse.ArgumentParser) -> None:
    commands = tenant.add_subparsers(required=True, metavar="COMMAND")
    create = commands.add_parser("create", help="make a tenant, with its first administrators")
    create.add_argument(
        "--administrator",
        action="append",
        required=True,
        metavar="SUB",
        help="with the issuer's prefix; may be repeated",
    )
    create.set_defaults(run=_tenant_create)
    delete = commands.add_parser("delete", help="delete a tenant in which nothing is left")
    delete.set_defaults(run=_tenant_delete)
    for command in (create, delete):
        command.add_argument("--config", type=Path)
        command.add_argument("name", metavar="NAME")


def _process(arguments: argparse.Namespace) -> int:
    """Imports late: each process loads only what it runs."""
    gc_tuning.starting()
    config = read(arguments.config)
    logs.set_up(arguments.process)
    announce = _settled(to_parent(os.environ))
    name = arguments.process
    if name in ("command", "query", "serve"):
        from secaplane.cli.processes import serve

        return run(lambda: serve.run(name, config, announce))
    from secaplane.cli.processes import projector, workers

    process = {
        "projector": projector.run,
        "reconcilers": workers.run_reconcilers,
        "cloud": workers.run_cloud,
    }[name]
    return run(lambda: process(config, announce))


def _settled(announce: Announce) -> Announce:
    def settled(ready: Announcement) -> None:
        gc_tuning.ready()
        announce(ready)

    return settled


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


def _retry(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import operate

    logs.set_up("retry", "WARNING")
    return run(lambda: operate.retry_quarantine(read(arguments.config)))


def _audit_entries(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import audit

    logs.set_up("audit", "WARNING")
    config, since, caller = read(arguments.config), arguments.since, arguments.caller
    as_json = arguments.json
    return run(lambda: audit.print_entries(config, since=since, caller=caller, as_json=as_json))


def _revoke(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import operate

    logs.set_up("revoke", "WARNING")
    said = {"jti": arguments.jti, "sub": arguments.sub, "issuedBefore": arguments.before}
    spec = {name: value for name, value in said.items() if value is not None}
    return run(lambda: operate.revoke(read(arguments.config), spec))


def _tenant_create(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenants

    logs.set_up("tenant", "WARNING")
    config, administrators = read(arguments.config), arguments.administrator
    return run(lambda: tenants.create(config, arguments.name, administrators))


def _tenant_delete(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenants

    logs.set_up("tenant", "WARNING")
    return run(lambda: tenants.delete(read(arguments.config), arguments.name))


def _plugin_check(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import plugin

    logs.set_up("plugin", "WARNING")
    return run(lambda: plugin.check(read(arguments.config), arguments.name))


def _may(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import may

    logs.set_up("may", "WARNING")
    question = may.AccessQuestion(arguments.verb, arguments.path, arguments.caller)
    return run(lambda: may.may(read(arguments.config), question))


def _rebuild(arguments: argparse.Namespace) -> int:
    from secaplane.cli.processes import projector

    logs.set_up("rebuild", "WARNING")
    return run(lambda: projector.rebuild_now(read(arguments.config)))


def _retire(arguments: argparse.Namespace) -> int:
    from secaplane.cli.processes import projector

    logs.set_up("retire", "WARNING")
    return run(lambda: projector.retire_now(read(arguments.config)))


def _keyring(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import operate

    operate.make_keyring(arguments.file)
    return 0


def run(process: Callable[[], Coroutine[Any, Any, Any]]) -> int:
    """Run until it ends, or until SIGTERM or SIGINT asks it to."""
    import uvloop

    async def stoppable() -> int:
        here = asyncio.current_task()
        assert here is not None
        stopped = False

        def stop() -> None:
            nonlocal stopped
            stopped = True
            here.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        try:
            return int(await process() or 0)
        except asyncio.CancelledError:
            if stopped:
                return 0
            raise
        except BaseExceptionGroup as group:
            known, rest = group.split((BadConfig, CannotListen))
            if known is not None and rest is None:
                raise known.exceptions[0] from group
            raise

    return uvloop.run(stoppable())


if __name__ == "__main__":
    sys.exit(main())
