"""Certificates as production makes them: by the script of the production layout."""

import ssl
import subprocess
from pathlib import Path

from secaplane.cli.settings import TlsSettings

SCRIPT = Path(__file__).parents[2] / "deploy" / "certificates.sh"


def made(folder: Path) -> Path:
    """The folder with an authority and a certificate for each part of the layout."""
    subprocess.run([str(SCRIPT), str(folder)], check=True, timeout=60)
    return folder


def settings(folder: Path, name: str) -> TlsSettings:
    """`[tls]` of one part."""
    return TlsSettings(
        ca=str(folder / "ca.crt"),
        certificate=str(folder / f"{name}.crt"),
        key=str(folder / f"{name}.key"),
    )


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "ca.crt"))
