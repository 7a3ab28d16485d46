"""The store of a NATS server that is stopped: bytes change in it."""

import os
import signal
import time
from pathlib import Path

from tests.servers import STREAM

STOPPED_S_MAX = 10.0


def stop_server(pid: int) -> None:
    """Stop a server, without awaiting anything: its supervisor starts it again afterwards."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOPPED_S_MAX
    while not _ended(pid):
        assert time.monotonic() < deadline, "NATS does not stop"
        time.sleep(0.01)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def damage_store(store: Path, text: bytes) -> None:
    """Change one byte of the message that holds a text."""
    for block in store.rglob(f"streams/{STREAM}/msgs/*.blk"):
        data = bytearray(block.read_bytes())
        at = data.find(text)
        if at >= 0:
            data[at] ^= 1
            block.write_bytes(data)
            return
    raise AssertionError(f"{text!r} is in no block")
