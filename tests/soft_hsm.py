"""A software HSM (SoftHSM 2 from Debian) with a token of its own, for tests; skipped without it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from secaplane.cli.settings import KeysSettings

LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
LABEL, PIN = "secaplane", "1234"
TIMEOUT_S = 60


def hsm_settings(
    folder: Path, environment: pytest.MonkeyPatch, *, key: str = "kek-1"
) -> KeysSettings:
    """The settings of a new token without keys. The environment names the module's configuration,
    which a process reads once, and child processes inherit."""
    module = next((each for each in LIBRARIES if Path(each).exists()), None)
    util = shutil.which("softhsm2-util")
    if module is None or util is None:
        pytest.skip("SoftHSM 2 is not installed (Debian: softhsm2)")
    tokens, config, pin = folder / "tokens", folder / "softhsm2.conf", folder / "pin"
    tokens.mkdir()
    config.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    pin.write_text(f"{PIN}\n")
    environment.setenv("SOFTHSM2_CONF", str(config))
    argv = (util, "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", PIN)
    subprocess.run(argv, check=True, capture_output=True, timeout=TIMEOUT_S)
    return KeysSettings(hsm_module=module, hsm_token=LABEL, hsm_key=key, hsm_pin_file=str(pin))
