"""The command lines of `secaplane audit`: export, verify, receipt and verify-receipt."""

import argparse
from pathlib import Path
from typing import Any

from secaplane.cli.config import read
from secaplane.cli.processes import logs
from secaplane.cli.running import run
from secaplane.cli.settings import BadConfig


def add_to(actions: Any) -> None:
    _add_export(actions)
    _add_timestamp(actions)
    _add_verify(actions)
    _add_receipt(actions)
    _add_verify_receipt(actions)


def _add_export(actions: Any) -> None:
    about = "write the whole history, or one tenant's, and its Merkle logs into a folder"
    export = actions.add_parser(
        "export",
        help=about,
        description=f"{about.capitalize()}. Reads the folder of the notary and the streams.",
    )
    export.add_argument("folder", type=Path, metavar="DIR", help="new, or empty")
    export.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    export.add_argument(
        "--tenant", default="", metavar="NAME", help="only this tenant's, with hashes of all others"
    )
    export.add_argument(
        "--seen",
        default=[],
        action="append",
        metavar="STREAM:SIZE",
        help="with --tenant: the size of an earlier checkpoint of the auditor, to compare with",
    )
    export.set_defaults(run=_export)


def _add_timestamp(actions: Any) -> None:
    about = "get time stamps (RFC 3161) on the newest checkpoints"
    details = "The authority is `notary.timestamp_url`. Exports have the time stamps."
    stamp = actions.add_parser(
        "timestamp", help=about, description=f"{about.capitalize()}. {details}"
    )
    stamp.add_argument("--config", type=Path, metavar="FILE", help="TOML file with settings")
    stamp.set_defaults(run=_timestamp)


def _add_verify(actions: Any) -> None:
    about = "verify an export without a server or a network"
    details = (
        "Trust comes from --policy and --seen alone, never from DIR. Exit status 0: good; 1: "
        "wrong, with the first position and how; 3: good as far as could be seen, with what "
        "could not."
    )
    verify = actions.add_parser(
        "verify", help=about, description=f"{about.capitalize()}. {details}"
    )
    verify.add_argument("folder", type=Path, metavar="DIR")
    verify.add_argument(
        "--policy", type=Path, metavar="FILE", help="keys of logs and witnesses, and the quorum"
    )
    verify.add_argument(
        "--seen",
        type=Path,
        metavar="CHECKPOINT",
        action="append",
        default=[],
        help="a checkpoint that you kept earlier; once for each log",
    )
    verify.add_argument(
        "--max-age",
        type=int,
        metavar="SECONDS",
        help="the newest cosignature may be so old",
    )
    verify.add_argument(
        "--tsa-certificate",
        type=Path,
        metavar="FILE",
        help="root certificates (PEM) of the authorities whose time stamps you trust",
    )
    verify.add_argument(
        "--resume",
        type=Path,
        metavar="FILE",
        help="keep the progress in this file, outside DIR, and go on from it",
    )
    verify.set_defaults(run=_verify)


def _add_receipt(actions: Any) -> None:
    about = "write the receipt of one event of an export, and the event"
    receipt = actions.add_parser(
        "receipt",
        help=about,
        description=f"{about.capitalize()}. Both together are verified without the export.",
    )
    receipt.add_argument("folder", type=Path, metavar="DIR", help="an export")
    receipt.add_argument("position", metavar="POSITION", help="such as SECA:73")
    receipt.add_argument(
        "file", type=Path, metavar="FILE", help="writes FILE.tlog-proof and FILE.event"
    )
    receipt.set_defaults(run=_receipt)


def _add_verify_receipt(actions: Any) -> None:
    about = "verify the receipt of an event without an export, a server or a network"
    details = "Exit status 0: the log of the policy holds the event; 1: it was not shown."
    verify = actions.add_parser(
        "verify-receipt", help=about, description=f"{about.capitalize()}. {details}"
    )
    verify.add_argument(
        "file", type=Path, metavar="FILE", help="reads FILE.tlog-proof and FILE.event"
    )
    verify.add_argument(
        "--policy",
        type=Path,
        metavar="POLICY",
        required=True,
        help="keys of logs and witnesses, and the quorum",
    )
    verify.set_defaults(run=_verify_receipt)


def _export(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import history_export, tenant_export

    logs.set_up("audit", "WARNING")
    config, folder = read(arguments.config), arguments.folder
    if arguments.tenant:
        tenant, seen = arguments.tenant, ",".join(arguments.seen)
        return run(lambda: tenant_export.export(config, folder, tenant, seen))
    if arguments.seen:
        raise BadConfig("--seen belongs to --tenant: a whole export has every tile")
    return run(lambda: history_export.export(config, folder))


def _timestamp(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import timestamping

    config = read(arguments.config)
    return run(lambda: timestamping.timestamp(config))


def _verify(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import history_verify

    return history_verify.verify(
        arguments.folder,
        policy=arguments.policy,
        seen=arguments.seen,
        max_age_s=arguments.max_age,
        resume=arguments.resume,
        tsa_certificate=arguments.tsa_certificate,
    )


def _receipt(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import history_receipts

    return history_receipts.write(arguments.folder, arguments.position, arguments.file)


def _verify_receipt(arguments: argparse.Namespace) -> int:
    from secaplane.cli.operate import history_receipts

    return history_receipts.verify(arguments.file, arguments.policy)
