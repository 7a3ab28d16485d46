"""Commands of this run, and the refusal of a machine that cannot run containers."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

COMMAND_S_MAX = 1800


class NoContainers(Exception):
    """This machine cannot run containers; nothing was tested."""


class Failed(Exception):
    """A command or an expectation of the run failed."""


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = COMMAND_S_MAX,
    both: bool = False,
) -> str:
    """The standard output, and the standard error after it if `both`.

    Raises:
        Failed: the command ends with another status than 0, or not in time.
    """
    environment = {**os.environ, **(env or {})}
    shown = " ".join(map(str, argv))
    try:
        done = subprocess.run(
            [*map(str, argv)],
            env=environment,
            cwd=cwd,
            timeout=seconds,
            stdin=subprocess.DEVNULL,  # nothing waits for a person, or reads what is not for it
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{shown}: no end after {seconds:.0f} s") from error
    if done.returncode != 0:
        raise Failed(
            f"{shown}: status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout + done.stderr if both else done.stdout


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Prints how long a step took, when it has ended well."""
    began = time.monotonic()
    yield
    say(f"{step}: {time.monotonic() - began:.0f} s")


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def complain(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
