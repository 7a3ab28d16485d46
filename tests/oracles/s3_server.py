"""A server of S3, versitygw: a program of its own that knows nothing of us."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from secaplane.audit.notary.bucket_files import BucketFiles
from secaplane.cli.dev.embedded import HOST
from secaplane.cli.dev.plane import free_port
from tests.oracles.go_programs import VERSITYGW, go_program

BUCKET, REGION, READY_S_MAX, POLL_S = "audit", "us-east-1", 30.0, 0.1


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of a server with one bucket, whose credentials the environment has while inside.
    The test is skipped where the server is not built."""
    program, port = go_program(VERSITYGW, slow=True), free_port()
    (folder / "store" / BUCKET).mkdir(parents=True)
    key, secret = "tests", secrets.token_hex(16)
    argv = (program, "--access", key, "--secret", secret, "--port", f"{HOST}:{port}")
    credentials = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    with (folder / "versitygw.log").open("wb") as out, patch.dict(os.environ, credentials):
        server = subprocess.Popen([*argv, "posix", str(folder / "store")], stdout=out, stderr=out)
        try:
            url = f"http://{HOST}:{port}"
            _ready(bucket(url, ""))
            yield url
        finally:
            server.terminate()
            server.wait(READY_S_MAX)


def bucket(url: str, prefix: str) -> BucketFiles:
    return BucketFiles(BUCKET, prefix, endpoint=url, region=REGION)


def _ready(files: BucketFiles) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        with suppress(OSError):
            assert files.read("nothing") is None
            return
        time.sleep(POLL_S)
    raise AssertionError("versitygw does not answer")
