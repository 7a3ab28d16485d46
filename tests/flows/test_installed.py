"""The wheel: its contents, and that an installed Secaplane uses nothing but its own package.

Other distributions may ship top-level packages called `policy` or `plugins`, and the current folder
may hold a `model.py`. Every such file here leaves a mark when it is imported, and raises.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.flows.client import at, client_of
from tests.flows.dev_plane import Program, dev

ROOT = Path(__file__).parents[2]
NOT_COPIED = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
MARK = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
raise ImportError(f"{__file__} is not part of Secaplane")
"""
OTHER_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "other"
version = "1"
[tool.setuptools]
packages = ["policy", "plugins"]
py-modules = ["model"]
"""


@dataclass(frozen=True)
class Installation:
    wheel: Path
    environment: Path

    @property
    def program(self) -> Path:
        return self.environment / "bin" / "secaplane"

    @property
    def packages(self) -> Path:
        (found,) = (self.environment / "lib").glob("python*/site-packages")
        return found


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Secaplane, then the other distribution, in a virtual environment that sees the dependencies
    of this one (a `.pth` file adds their folder, without running what is in it)."""
    place = tmp_path_factory.mktemp("installed")
    environment = place / "environment"
    venv.create(environment, with_pip=False)
    shutil.copytree(ROOT, place / "secaplane", ignore=NOT_COPIED)
    made = Installation(_wheel(place / "secaplane", place), environment)
    (made.packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for wheel in (made.wheel, _wheel(_other(place / "other"), place)):
        _pip("--python", str(environment / "bin" / "python"), "install", "--no-deps", str(wheel))
    return made


def _other(place: Path) -> Path:
    for name in ("policy/__init__.py", "plugins/__init__.py", "model.py"):
        _marked(place / name)
    (place / "pyproject.toml").write_text(OTHER_PROJECT)
    return place


def _marked(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(MARK)


def _wheel(source: Path, place: Path) -> Path:
    folder = place / f"wheel-{source.name}"
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def _pip(*arguments: str) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    command = (sys.executable, "-m", "pip", *options, *arguments)
    # without PYTHONPATH, in which pip could find Secaplane installed already
    environment = os.environ | {"PIP_NO_INDEX": "1", "PYTHONPATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A current folder with files that must not be imported."""
    place = tmp_path / "current"
    for name in ("model.py", "command/__init__.py", "sitecustomize.py"):
        _marked(place / name)
    before = _files(place)
    yield place
    assert _files(place) == before


def _files(folder: Path) -> dict[str, str]:
    """Digests by path; byte code and pip's own records are left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_wheel_holds_the_package_alone(installed: Installation) -> None:
    names = ZipFile(installed.wheel).namelist()
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"secaplane"}
    folders = {name.split("/")[1] for name in names if name.startswith("secaplane/")}
    assert not folders & {"tests", "docs", "examples", "deploy", "secaplane"}
    sources = {
        f"secaplane/{path.relative_to(ROOT)}"
        for folder in folders - {"__init__.py"}
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == sources | {"secaplane/__init__.py"}


async def test_an_installed_secaplane_uses_only_its_own_package(
    installed: Installation, folder: Path, tmp_path: Path
) -> None:
    before = _files(installed.packages)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    program = Program((str(installed.program),), folder, {"PATH": path, "PYTHONPATH": ""})
    with dev(tmp_path, "--ephemeral", "--port", "0", "--json", program=program) as plane:
        async with client_of(plane.details.url, plane.details.token) as client:
            await client.made(at("workspace", "first"), {})
        modules = [Path(f"/proc/{pid}/cmdline") for pid in plane.details.pids.values()]
        python = str(installed.environment / "bin" / "python")
        own = [each for each in modules if each.read_text().startswith(python)]
        assert len(own) == len(plane.details.pids) - 2, "all but NATS and PostgreSQL"
        assert all("\0-P\0" in each.read_text() for each in own)
    assert _files(installed.packages) == before
    for name, digest in _of_wheel(installed.wheel).items():
        assert before[name] == digest


def _of_wheel(wheel: Path) -> dict[str, str]:
    with ZipFile(wheel) as archive:
        return {
            name: hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
            if name.startswith("secaplane/")
        }
