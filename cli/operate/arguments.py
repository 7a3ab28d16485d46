"""The command lines for operators."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.operate import audit_arguments, key_arguments, log_arguments, replay_arguments
from secaplane.cli.processes import logs
from secaplane.cli.running import run


def add_to(commands: Any) -> None:
    _add_tenant(commands)
    _add_may(commands)
    audit_arguments.add_to(commands)
    _add_revoke(commands)
    _add_retry(commands)
    _add_quarantine(commands)
    log_arguments.add_to(commands)
    replay_arguments.add_to(commands)
    _add_keyring(commands)
    key_arguments.add_to(commands)
    _add_plugin(commands)
    _add_drift(commands)


def _command(commands: Any, name: str, help_text: str, details: str = "") -> Any:
    """A parser whose `--help` begins with the line of the list."""
    description = f"{help_text[0].upper()}{help_text[1:]}. {details}".strip()
    return commands.add_parser(name, help=help_text, description=description)


def _add_config(command: Any) -> None:
    command.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")


# --- tenants


def _add_tenant(commands: Any) -> None:
    tenant = _command(commands, "tenant", "create or delete a tenant")
    actions = tenant.add_subparsers(required=True, metavar="COMMAND", title="commands")
    create = _command(
        actions, "create", "create a tenant and the role assignment of its administrators"
    )
    create.add_argument(
        "--administrator",
        action="append",
        required=True,
        metavar="SUB",
        help="sub of an administrator, with the issuer's prefix; may be repeated",
    )
    create.set_defaults(run=_tenant_create)
    delete = _command(
        actions,
        "delete",
        "delete an empty tenant",
        "Roles and role assignments in it are deleted with it; anything else blocks the deletion.",
    )
    delete.set_defaults(run=_tenant_delete)
    auditors = _command(
        actions,
        "auditors",
        "appoint the auditors of a tenant",
        "They replace those that this command appointed before. Administrators cannot appoint the"
        " first one: they grant only what they hold.",
    )
    auditors.add_argument(
        "--auditor", action="append", required=True, metavar="SUB", help="with the issuer's prefix"
    )
    auditors.set_defaults(run=_tenant_auditors)
    erase = _command(
        actions,
        "erase",
        "destroy the keys of a tenant that is gone",
        "The contents of its events can never be read again; read models are made again without"
        " them and the old tables are dropped. A command that was interrupted goes on when it is"
        " given again. Give it for each replica of the read model.",
    )
    erase.add_argument("--yes", action="store_true", help="do not ask; it cannot be undone")
    erase.set_defaults(run=_tenant_erase)
    for command in (create, delete, auditors, erase):
        _add_config(command)
        command.add_argument("name", metavar="NAME", help="name of the tenant")


def _tenant_create(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenants

    logs.set_up("tenant", "WARNING")
    config, administrators = read(arguments.config), arguments.administrator
    return run(lambda: tenants.create(config, arguments.name, administrators))


def _tenant_delete(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenants

    logs.set_up("tenant", "WARNING")
    return run(lambda: tenants.delete(read(arguments.config), arguments.name))


def _tenant_auditors(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenants

    logs.set_up("tenant", "WARNING")
    config, auditors = read(arguments.config), arguments.auditor
    return run(lambda: tenants.appoint_auditors(config, arguments.name, auditors))


def _tenant_erase(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import tenant_erasure

    logs.set_up("tenant", "WARNING")
    config, confirmed = read(arguments.config), arguments.yes
    return run(lambda: tenant_erasure.erase(config, arguments.name, confirmed=confirmed))


# --- authorization


def _add_may(commands: Any) -> None:
    may = _command(
        commands,
        "may",
        "check whether a caller may do something, and why; or list the callers who may",
        "Exit status: 0 allowed, or a list; 1 denied; 2 not a valid question.",
    )
    _add_config(may)
    may.add_argument(
        "caller",
        metavar="CALLER",
        help="sub with the issuer's prefix, or group:<prefix><name>; -: list the callers",
    )
    may.add_argument("verb", metavar="VERB", help="get, list, put, delete, post.start ...")
    may.add_argument("path", metavar="PATH", help="path of a URL, from /providers/ on")
    may.set_defaults(run=_may)


def _may(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import may

    logs.set_up("may", "WARNING")
    question = may.AccessQuestion(arguments.verb, arguments.path, arguments.caller)
    return run(lambda: may.may(read(arguments.config), question))


def _add_revoke(commands: Any) -> None:
    revoke = _command(
        commands,
        "revoke",
        "revoke one token (--jti), or all tokens of a subject issued before a time",
        "Every process refuses them within a second.",
    )
    _add_config(revoke)
    revoke.add_argument("--jti", help="id of one token")
    revoke.add_argument("--sub", help="subject, with the issuer's prefix; needs --before")
    revoke.add_argument("--before", metavar="TIME", help="RFC 3339; tokens issued before it")
    revoke.set_defaults(run=_revoke)


def _revoke(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import revocations

    logs.set_up("revoke", "WARNING")
    given = {"jti": arguments.jti, "sub": arguments.sub, "issuedBefore": arguments.before}
    spec = {name: value for name, value in given.items() if value is not None}
    return run(lambda: revocations.revoke(read(arguments.config), spec))


# --- data


def _add_retry(commands: Any) -> None:
    retry = _command(
        commands,
        "retry",
        "project quarantined events again",
        "Exit status 1 if a resource stays in quarantine; its reason is printed.",
    )
    _add_config(retry)
    retry.set_defaults(run=_retry)


def _retry(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import quarantine

    logs.set_up("retry", "WARNING")
    return run(lambda: quarantine.retry_quarantine(read(arguments.config)))


def _add_quarantine(commands: Any) -> None:
    quarantine = _command(
        commands, "quarantine", "list or close resources with an event that cannot be applied"
    )
    actions = quarantine.add_subparsers(required=True, metavar="COMMAND", title="commands")
    list_ = _command(
        actions,
        "list",
        "print what is in quarantine, and what was closed and may still be in the cloud",
    )
    list_.set_defaults(run=_quarantine_list)
    close = _command(
        actions,
        "close",
        "give up a resource whose events cannot be decoded or applied",
        "Its name can be used again, and its parent can be deleted. Events that a newer release "
        "could read are given up, too: after a downgrade, upgrade instead. The cloud is not asked.",
    )
    close.add_argument("kind", metavar="KIND", help="kind, as `list` prints it")
    close.add_argument("path", metavar="PATH", help="path, as `list` prints it")
    close.add_argument("--reason", default="", help="recorded in the event")
    close.set_defaults(run=_quarantine_close)
    for command in (list_, close):
        _add_config(command)


def _quarantine_list(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import quarantine

    logs.set_up("quarantine", "WARNING")
    return run(lambda: quarantine.print_quarantine(read(arguments.config)))


def _quarantine_close(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import quarantine
    from secaplane.model.shape import Ref

    logs.set_up("quarantine", "WARNING")
    ref = Ref(arguments.kind, arguments.path)
    return run(lambda: quarantine.close(read(arguments.config), ref, arguments.reason))


def _add_keyring(commands: Any) -> None:
    keyring = _command(
        commands,
        "keyring",
        "create a keyring file",
        "The keyring seals secrets in the log; without it they cannot be read, so keep a copy.",
    )
    keyring.add_argument("file", type=Path, metavar="FILE", help="must not exist")
    keyring.set_defaults(run=_keyring)


def _keyring(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import keyrings

    return keyrings.create_keyring(arguments.file)


# --- clouds


def _add_plugin(commands: Any) -> None:
    plugin = _command(commands, "plugin", "check the plugin of a cloud")
    actions = plugin.add_subparsers(required=True, metavar="COMMAND", title="commands")
    check = _command(
        actions,
        "check",
        "run the contract suite of plugins against the configured cloud",
        "It creates resources of its own and removes them. Exit status 1 if a check fails.",
    )
    _add_config(check)
    check.add_argument("name", metavar="NAME", help="entry point in the group secaplane.plugins")
    check.set_defaults(run=_plugin_check)


def _plugin_check(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import plugin

    logs.set_up("plugin", "WARNING")
    return run(lambda: plugin.check(read(arguments.config), arguments.name))


def _add_drift(commands: Any) -> None:
    drift = _command(commands, "drift", "compare the cloud with the log")
    actions = drift.add_subparsers(required=True, metavar="COMMAND", title="commands")
    list_ = _command(
        actions,
        "list",
        "print what the cloud holds and the log does not know as living",
        "`gone`: its life has ended; reconcilers remove it. `unknown`: the log never had it, or "
        "cannot say; it stays. What is created or removed meanwhile may be printed.",
    )
    _add_config(list_)
    list_.set_defaults(run=_drift_list)


def _drift_list(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import drift

    logs.set_up("drift", "WARNING")
    return run(lambda: drift.print_inventory(read(arguments.config)))
