"""The command lines of `secaplane keys` and `secaplane retention`."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.processes import logs
from secaplane.cli.running import run


def add_to(commands: Any) -> None:
    about = "list and destroy the keys that seal events"
    keys = commands.add_parser("keys", help=about, description=f"{about.capitalize()}.")
    actions = keys.add_subparsers(required=True, metavar="COMMAND", title="commands")
    _action(actions, "list", "print the names of all keys").set_defaults(run=_list)
    destroyed = _action(
        actions,
        "destroyed",
        "print the destroyed keys as JSON, one a line",
        "A part of every backup: `check` takes it after a restore.",
    )
    destroyed.set_defaults(run=_destroyed)
    check = _action(
        actions,
        "check",
        "destroy keys again that a backup has brought back",
        "It compares the store with its own records, with the audit stream and with the given"
        " lists. Exit status 0 if no key was back, 1 if one was.",
    )
    check.add_argument(
        "lists", nargs="*", type=Path, metavar="LIST", help="output of `destroyed` in backups"
    )
    check.set_defaults(run=_check)
    generate = _action(
        actions,
        "generate",
        "generate the key keys.hsm_key in the HSM",
        "AES-256, which cannot leave the HSM. Nothing happens where the token has it.",
    )
    generate.set_defaults(run=_generate)
    destroy = _action(
        actions,
        "destroy",
        "destroy one key, or record that a lost one stays lost",
        "What it sealed can never be read again; readers of the log go on without it.",
    )
    destroy.add_argument("name", metavar="KEY", help="as `list` prints it")
    destroy.add_argument("--reason", required=True, help="recorded with your user name")
    destroy.set_defaults(run=_destroy)


def add_retention_to(commands: Any) -> None:
    about = "erase what is older than its retention"
    retention = commands.add_parser("retention", help=about, description=f"{about.capitalize()}.")
    actions = retention.add_subparsers(required=True, metavar="COMMAND", title="commands")
    apply = _action(
        actions,
        "apply",
        "erase the callers of old events, and the secrets of resources that are gone",
        "Callers of events that are older than keys.person_months: a pseudonym stays, so that the"
        " history still tells persons apart. Secrets of resources that are gone for"
        " keys.secret_days. Tenants in keys.holds are left out. It reads the log once. Give it once"
        " a day, or once a month.",
    )
    apply.add_argument("--dry-run", action="store_true", help="print the keys, destroy none")
    apply.set_defaults(run=_apply)


def _apply(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import retention

    logs.set_up("retention", "WARNING")
    config, dry_run = read(arguments.config), arguments.dry_run
    return run(lambda: retention.apply(config, dry_run=dry_run))


def _action(actions: Any, name: str, about: str, details: str = "") -> Any:
    description = f"{about[0].upper()}{about[1:]}. {details}".strip()
    action = actions.add_parser(name, help=about, description=description)
    action.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    return action


def _list(arguments: argparse.Namespace) -> int:
    return _show(arguments, destroyed_only=False)


def _destroyed(arguments: argparse.Namespace) -> int:
    return _show(arguments, destroyed_only=True)


def _show(arguments: argparse.Namespace, *, destroyed_only: bool) -> int:
    from secaplane.cli.operate import keys

    logs.set_up("keys", "WARNING")
    config = read(arguments.config)
    return run(lambda: keys.show(config, destroyed_only=destroyed_only))


def _check(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import keys

    logs.set_up("keys", "WARNING")
    config = read(arguments.config)
    return run(lambda: keys.check(config, arguments.lists))


def _generate(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import keyrings

    logs.set_up("keys", "WARNING")
    config = read(arguments.config)
    return run(lambda: keyrings.generate(config))


def _destroy(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import keys

    logs.set_up("keys", "WARNING")
    config = read(arguments.config)
    return run(lambda: keys.destroy_one(config, arguments.name, arguments.reason))
