"""The folder of one cloud: its paths, its ports and its password, kept in `cloud.json`.

Imports the standard library alone, like all of this package that the system's Python runs.
"""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
REGION = "RegionOne"
ZONE = "az-1"
FACTS = "cloud.json"
LOGS = "log"
PREFERRED_PORTS = {
    "keystone": 15000,
    "glance": 19292,
    "placement": 18778,
    "nova": 18774,
    "neutron": 19696,
    "cinder": 18776,
    "mariadb": 13306,
    "rabbitmq": 15673,
    "rabbitmq-nodes": 25673,
    "epmd": 14369,
}


class Failed(Exception):
    """A step of the cloud's start or stop failed."""


@dataclass(frozen=True)
class Cloud:
    """A cloud in its folder. Every process of it finds all it needs below `folder` and `venv`."""

    folder: Path
    venv: Path
    password: str
    ports: Mapping[str, int]

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def log(self) -> Path:
        return self.folder / LOGS

    @property
    def run(self) -> Path:
        """Records of the processes."""
        return self.folder / "run"

    @property
    def var(self) -> Path:
        return self.folder / "var"

    @property
    def programs(self) -> Path:
        """Stand-ins for programs of the machine, before all others on the path."""
        return self.folder / "bin"

    @property
    def library(self) -> Path:
        """The plugin of neutron, as an installed distribution."""
        return self.folder / "lib"

    @property
    def clouds_yaml(self) -> Path:
        return self.folder / "clouds.yaml"

    @property
    def keystone(self) -> str:
        return f"{self.url('keystone')}/v3"

    def url(self, service: str) -> str:
        return f"http://{HOST}:{self.ports[service]}"


def default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "secaplane-openstack"


def found(folder: Path) -> Cloud | None:
    """The cloud that an earlier command made in the folder."""
    try:
        facts = json.loads((folder / FACTS).read_text())
    except FileNotFoundError:
        return None
    return Cloud(folder, Path(facts["venv"]), facts["password"], facts["ports"])


def made(folder: Path, venv: Path) -> Cloud:
    """A new cloud in an empty folder.

    Raises:
        Failed: the folder holds what no earlier cloud left there.
    """
    if folder.exists() and any(each.name != LOGS for each in folder.iterdir()):
        raise Failed(f"{folder} is not empty, and holds no cloud: give another one with --state")
    shutil.rmtree(folder / LOGS, ignore_errors=True)
    cloud = Cloud(folder, venv, secrets.token_hex(12), _chosen_ports())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for each in (cloud.etc, cloud.log, cloud.run, cloud.var, cloud.programs, cloud.library):
        each.mkdir()
    facts = {"venv": str(venv), "password": cloud.password, "ports": dict(cloud.ports)}
    (folder / FACTS).write_text(json.dumps(facts, indent=1))
    return cloud


def cleared(cloud: Cloud) -> None:
    """Removes everything but the logs. Nothing may be mounted below the folder any more."""
    for folder in (cloud.etc, cloud.run, cloud.var, cloud.programs, cloud.library):
        shutil.rmtree(folder, ignore_errors=True)
    for name in (cloud.clouds_yaml.name, FACTS):  # the facts last: until then it is ours to clear
        (cloud.folder / name).unlink(missing_ok=True)


def _chosen_ports() -> dict[str, int]:
    """The preferred ports, and another free one in place of each that is taken."""
    return {name: port if _is_free(port) else _free() for name, port in PREFERRED_PORTS.items()}


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        # as servers do: connections of an earlier run that have not timed out do not count
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError:
            return False
    return True


def _free() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
    return port
