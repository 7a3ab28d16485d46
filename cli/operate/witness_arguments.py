"""The command lines of `secaplane audit witness` and `secaplane audit witness-key`."""

import argparse
import os
import secrets
from pathlib import Path
from typing import Any

from secaplane.cli.processes import logs
from secaplane.cli.running import run_until_stopped
from secaplane.cli.settings import BadConfig

END_S_MAX = 10.0


def add_to(actions: Any) -> None:
    _add_witness(actions)
    _add_key(actions)


def _add_witness(actions: Any) -> None:
    about = "cosign checkpoints of logs that others operate, if they have only grown"
    witness = actions.add_parser(
        "witness",
        help=about,
        description=f"{about.capitalize()}. Serves POST /add-checkpoint (c2sp.org/tlog-witness).",
    )
    witness.add_argument(
        "--policy", type=Path, metavar="FILE", required=True, help="its `log` lines are cosigned"
    )
    witness.add_argument("--key", type=Path, metavar="FILE", required=True, help="the signing key")
    witness.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        required=True,
        help="what was cosigned last; never restore it from a backup",
    )
    witness.add_argument("--host", default="127.0.0.1", metavar="ADDRESS")
    witness.add_argument("--port", type=int, default=8071, metavar="PORT")
    witness.set_defaults(run=_witness)


def _add_key(actions: Any) -> None:
    about = "create the key of a witness, and print its line of a policy"
    key = actions.add_parser("witness-key", help=about, description=f"{about.capitalize()}.")
    key.add_argument("name", metavar="NAME", help="such as witness.example.com/one")
    key.add_argument("file", type=Path, metavar="FILE", help="must not exist")
    key.set_defaults(run=_key)


def _witness(arguments: argparse.Namespace) -> int:
    from secaplane.cli.processes import witness
    from secaplane.cli.processes.announce import to_parent

    logs.set_up("witness")
    files = witness.WitnessFiles(arguments.policy, arguments.key, arguments.folder)
    announce = to_parent(os.environ)
    return run_until_stopped(
        lambda stop: witness.run(files, arguments.host, arguments.port, announce, stop),
        ends_within_s=END_S_MAX,
    )


def _key(arguments: argparse.Namespace) -> int:
    from secaplane.audit.tlog.cosignatures import Cosigner
    from secaplane.audit.tlog.signed_notes import SEED_BYTES

    try:
        made = Cosigner(arguments.name, secrets.token_bytes(SEED_BYTES))
        descriptor = os.open(arguments.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except (OSError, ValueError) as error:
        raise BadConfig(f"the key of a witness: {error}") from error
    with os.fdopen(descriptor, "w") as out:
        out.write(f"{made.secret_text}\n")
        out.flush()
        os.fsync(descriptor)
    print(f"witness {arguments.name.rpartition('/')[2]} {made.public.text}")
    return 0
