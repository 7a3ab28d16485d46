"""A process that a signal cannot end, because a task never ends, is ended in a bounded time."""

import signal
import subprocess
import sys

from secaplane.cli.running import NOT_ENDED

STUBBORN = """
import asyncio
from secaplane.cli.running import run_until_stopped

async def never_ends():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            print("not cancelled", flush=True)

async def process(stop):
    async with asyncio.TaskGroup() as group:
        stubborn = group.create_task(never_ends())
        print("started", flush=True)
        await stop.received()
        stubborn.cancel()

raise SystemExit(run_until_stopped(process, ends_within_s=2))
"""
SECONDS_MAX = 30


def test_a_task_that_never_ends_does_not_keep_its_process() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        child.send_signal(signal.SIGTERM)
        out, errors = child.communicate(timeout=SECONDS_MAX)
    assert child.returncode == NOT_ENDED
    assert out == "not cancelled\n"
    assert "did not end in time" in errors
