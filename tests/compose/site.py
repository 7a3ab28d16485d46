"""A site as `deploy/README.md` sets it up: its commands are run as they are printed there."""

import os
import re
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

from tests.compose.engine import Engine
from tests.compose.shell import run
from tests.source import ROOT

GUIDE = ROOT / "deploy" / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.M | re.S)
STRICT = 'set -euo pipefail\nsudo() { "$@"; }\n'
CAREFUL_UMASK = 0o077
"""A careful operator's: what containers read must be readable for their users all the same."""


@dataclass(frozen=True)
class Site:
    """A copy of the tree, prepared for `docker compose`."""

    engine: Engine
    folder: Path
    port: int
    tokens: dict[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def set(self, name: str, value: str) -> None:
        """Changes a setting in `.env`, as an operator does."""
        path = self.folder / ".env"
        kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{name}=")]
        path.write_text("\n".join([*kept, f"{name}={value}"]) + "\n")

    def compose(self, *argv: str, seconds: float = 600) -> str:
        command = ["docker", "compose", "--progress", "plain", *argv]
        return run(command, env=self.engine.environment, cwd=self.folder, seconds=seconds)

    def script(self, lines: str, seconds: float = 600) -> str:
        """Runs shell commands of a page, with the address of this site."""
        here = re.sub(r"(127\.0\.0\.1|localhost):8080", f"127.0.0.1:{self.port}", lines)
        env = {**self.engine.environment, **self.tokens}
        return run(["bash", "-c", STRICT + here], env=env, cwd=self.folder, seconds=seconds)


def blocks(title: str, page: Path = GUIDE) -> list[str]:
    """The shell commands of a section."""
    _, _, rest = page.read_text().partition(f"\n## {title}\n")
    return BLOCK.findall(rest.partition("\n## ")[0])


def prepared(engine: Engine, folder: Path) -> Site:
    """Copies the tree under a careful umask and follows the guide's first section."""
    before = os.umask(CAREFUL_UMASK)
    try:
        _copy(folder)
        site = Site(engine, folder, free_port(), {})
        (folder / ".venv").symlink_to(ROOT / ".venv")
        said = "".join(site.script(each) for each in blocks("Before the first start"))
    finally:
        os.umask(before)
    site.tokens.update(re.findall(r"^(OPERATOR|TOKEN)=(\S+)$", said, re.M))
    with (folder / ".env").open("a") as settings:
        settings.write(f"LISTEN=127.0.0.1:{site.port}\n")
    return site


def _copy(folder: Path) -> None:
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
            if os.access(ROOT / name, os.X_OK):
                target.chmod(0o700)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
