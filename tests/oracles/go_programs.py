"""Programs of others that judge our formats, built by `go install` and kept for later runs."""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

INSTALL_S_MAX = 600.0
FSCK = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
LITEWITNESS = "filippo.io/torchwood/cmd/litewitness@v0.6.1"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
SLOW = "SECAPLANE_TEST_SLOW_BUILDS"
"""Variable that allows programs whose build takes minutes; `make proof` sets it."""
FOLDER = "SECAPLANE_TEST_ORACLES"
"""Variable with the folder of the programs; default: one in the user's cache."""


@cache
def go_program(package: str, *, slow: bool = False) -> Path:
    """The program of a package; the test is skipped where it cannot be built. `slow`: and where no
    slow builds are allowed."""
    cached = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get(FOLDER) or cached / "secaplane-oracles")
    name, _, version = package.rpartition("/")[2].partition("@")
    program = folder / version / name
    if program.exists():
        return program
    if slow and not os.environ.get(SLOW):
        pytest.skip(f"{name} is not built: make proof")
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{name} is not built, and there is no `go` to build it")
    environment = os.environ | {"GOBIN": str(program.parent)}
    try:
        done = subprocess.run(
            [go, "install", package],
            env=environment,
            capture_output=True,
            text=True,
            timeout=INSTALL_S_MAX,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"{name} was not built in {INSTALL_S_MAX:.0f} s")
    if done.returncode:
        pytest.skip(f"{name} cannot be built: {done.stderr[-300:]}")
    return program
