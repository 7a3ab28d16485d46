"""A container engine of this run: `dockerd` with its own socket, data and process id, and Docker
Compose as a plugin. What must be built or downloaded is kept in a folder for the next run."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.compose.shell import Failed, NoContainers, run, say

COMPOSE = ("github.com/docker/compose/v2", "v2.40.3", "cmd")
"""Module, version and package. The newest line whose client speaks to the engine of Debian 12."""
PROXY = ("github.com/caddyserver/caddy/v2", "v2.11.9", "cmd/caddy")
"""Built from source, because Debian's is older than the tag that compose names."""
ENGINE_PACKAGE = ".".join(
    ("docker", "io")
)  # in one piece it reads as the name of a registry's host
PACKAGES = (ENGINE_PACKAGE, "debootstrap", "iptables")
STARTED_S_MAX, STOPPED_S_MAX = 60.0, 60.0


@dataclass(frozen=True)
class Engine:
    """A running engine. `environment` leads every client of this run to it."""

    folder: Path
    socket: str
    plugins: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "DOCKER_HOST": self.socket,
            "DOCKER_CONFIG": str(self.plugins),
            "DOCKER_BUILDKIT": "0",  # BuildKit's own images are out of reach
            "COMPOSE_BAKE": "false",
            "COMPOSE_MENU": "false",
        }

    def docker(self, *argv: str | Path, seconds: float = 1800, both: bool = False) -> str:
        return run(["docker", *argv], env=self.environment, seconds=seconds, both=both)


def cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(home) / "secaplane-compose"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def install_packages() -> None:
    """Installs the engine.

    Raises:
        NoContainers: not as root, or without Debian's packages.
    """
    if os.getuid() != 0:
        raise NoContainers("an engine of its own needs root")
    if all(map(shutil.which, ("dockerd", "debootstrap", "iptables"))):
        return
    if shutil.which("apt-get") is None:
        raise NoContainers("no dockerd, and no apt-get that could install it")
    say(f"installing {', '.join(PACKAGES)}")
    # RUNLEVEL keeps the package from starting an engine of the machine
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        run(["apt-get", "update"], env=env)
        run(["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES], env=env)
    except Failed as error:
        raise NoContainers(f"the packages cannot be installed: {error}") from error


def built(name: str, module: str, version: str, package: str) -> Path:
    """A program, built from its Go module as published, with the module's own checksums.

    Raises:
        NoContainers: it cannot be downloaded or built.
    """
    program = cache() / f"{name}-{version}"
    if program.exists():
        return program
    if shutil.which("go") is None:
        raise NoContainers(f"{name} {version} is built from source, and there is no go")
    say(f"building {name} {version}")
    try:
        empty = cache() / "empty"
        empty.mkdir(exist_ok=True)
        run(["go", "mod", "download", f"{module}@{version}"], cwd=empty)
        modules = Path(run(["go", "env", "GOMODCACHE"]).strip())
        folder = modules / f"{module}@{version}"
        flags = f"-s -w -X {module}/internal.Version={version}"
        made = program.with_suffix(".new")
        building = ("nice", "-n", "15", "go", "build", "-trimpath", "-ldflags", flags)
        run([*building, "-o", made, f"./{package}"], cwd=folder, seconds=3600)
    except Failed as error:
        raise NoContainers(f"{name} cannot be built: {error}") from error
    made.rename(program)
    return program


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """Starts the engine; on leaving, stops it by its process id.

    Raises:
        NoContainers: it does not start on this machine.
    """
    install_packages()
    plugins = folder / "client"
    (plugins / "cli-plugins").mkdir(parents=True)
    shutil.copy(built("docker-compose", *COMPOSE), plugins / "cli-plugins" / "docker-compose")
    socket, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    argv = [
        *("dockerd", "--host", socket, "--data-root", folder / "data"),
        *("--exec-root", folder / "exec", "--pidfile", folder / "docker.pid"),
    ]
    with log.open("w") as lines:
        daemon = subprocess.Popen([*map(str, argv)], stdout=lines, stderr=lines)
    made = Engine(folder, socket, plugins)
    try:
        _wait_until_it_answers(made, daemon, log)
        yield made
    finally:
        daemon.terminate()
        try:
            daemon.wait(STOPPED_S_MAX)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


def _wait_until_it_answers(made: Engine, daemon: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STARTED_S_MAX
    while time.monotonic() < until:
        if daemon.poll() is not None:
            break
        try:
            facts = made.docker("version", "--format", "{{.Server.Version}}", seconds=10)
        except Failed:
            time.sleep(0.5)
            continue
        say(f"dockerd {facts.strip()} answers")
        return
    raise NoContainers("dockerd does not run here:\n" + log.read_text()[-3000:])
