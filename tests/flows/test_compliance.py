"""Every command that docs/compliance names as meeting a requirement, run on a log that is signed,
cosigned by a witness, and has what a control plane records."""

import shlex
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from secaplane.audit.tlog.checkpoints import parse_checkpoint
from secaplane.audit.tlog.policies import parse_policy
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import free_port
from tests.flows.crashing import until
from tests.flows.notarizing import AUDIT, NotaryScene, ended, notary_scene
from tests.servers import STREAM
from tests.source import ROOT

ROWS = tomllib.loads((ROOT / "docs" / "compliance" / "requirements.toml").read_text())
POSITION = f"{STREAM}:200"


async def test_every_command_that_meets_a_requirement_ends_well(tmp_path: Path) -> None:
    commands = dict.fromkeys(
        command
        for standard in ROWS["standard"]
        for row in standard["row"]
        for command in row.get("commands", ())
    )
    exports = [each for each in commands if each.startswith("secaplane audit export")]
    receipts = [each for each in commands if each.startswith("secaplane audit receipt")]
    first = [*exports, *receipts]
    async with cosigned_scene(tmp_path) as scene:
        as_operator = scene.environment["SECAPLANE_NATS_URL"].replace("notary:", "tests:")
        scene.more["SECAPLANE_NATS_URL"] = as_operator
        for command in [*first, *(each for each in commands if each not in first)]:
            words = [filled(scene, word) for word in shlex.split(command)[1:]]
            done = scene.secaplane(*words)
            assert done.returncode == 0, f"{command}: {done.stdout[-500:]} {done.stderr[-500:]}"


def test_every_row_names_what_meets_it_or_why_nothing_can() -> None:
    for standard in ROWS["standard"]:
        ids = [row["id"] for row in standard["row"]]
        assert len(ids) == len(set(ids))
        for row in standard["row"]:
            assert ("tests" in row) is not ("not_ours" in row), row["id"]
            assert all((ROOT / test).exists() for test in row.get("tests", ())), row["id"]
            assert set(row) <= {"id", "asks", "commands", "tests", "not_ours", "rest"}, row["id"]


def filled(scene: NotaryScene, word: str) -> str:
    """A word of a command, with a file of the scene where it is in capitals."""
    files = {
        "EXPORT": scene.folder / "export",
        "POLICY": scene.folder / "policy",
        "CHECKPOINT": scene.public(STREAM) / "cosigned",
        "AUDIT_CHECKPOINT": scene.public(AUDIT) / "cosigned",
        "FOLDER": scene.folder / "report",
        "RECEIPT": scene.folder / "receipt",
    }
    texts = {name: str(path) for name, path in files.items()}
    return (texts | {"TENANT": "acme", "POSITION": POSITION}).get(word, word)


@asynccontextmanager
async def cosigned_scene(place: Path) -> AsyncIterator[NotaryScene]:
    """Two streams whose newest checkpoints our own witness has cosigned."""
    async with notary_scene(place) as scene:
        logs, key, port = place / "logs", place / "key", free_port()
        logs.write_text(scene.policy)
        named = scene.secaplane("audit", "witness-key", "witness.example/one", str(key))
        own = [line for line in scene.policy.splitlines() if line.startswith("log")]
        url = f"http://{HOST}:{port}"
        policy = place / "policy"
        policy.write_text("\n".join([*own, f"{named.stdout.strip()} {url}", "quorum one"]))
        scene.more["SECAPLANE_NOTARY_POLICY"] = str(policy)
        trusted = parse_policy(policy.read_text())
        await scene.append(300)
        await scene.refuse(3)

        async def cosigned() -> bool:
            paths = [scene.public(stream) / "cosigned" for stream in (STREAM, AUDIT)]
            if not all(path.exists() for path in paths):
                return False
            heads = [trusted.verify(parse_checkpoint(path.read_bytes())).head for path in paths]
            return heads[0].size == 300 and heads[1].size >= 4

        files = ("--policy", str(logs), "--key", str(key), "--folder", str(place / "heads"))
        witness = scene.spawn("audit", "witness", *files, "--port", str(port))
        with ended(witness), ended(scene.start()):
            await until(cosigned, "both logs are cosigned")
        yield scene
