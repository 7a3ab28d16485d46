"""`make fuzz`: at least CASES_MIN valid and invalid requests, generated from the OpenAPI documents
of all providers, against a new control plane. No answer may be a 5xx; each must match its document.

`make fuzz SEED=7` repeats a run.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import randrange

import msgspec

from secaplane.kinds import PROVIDERS
from tests.flows.dev_plane import DevProcess, dev
from tests.fuzz import scene

ROOT = Path(__file__).parents[2]
SCHEMATHESIS = ROOT / ".venv-fuzz" / "bin" / "schemathesis"
CASES_MIN = 10_000
EXAMPLES = 34
"""Per operation in the phase that generates values; other phases add more."""
SECONDS_MAX = 540.0
CHECKS = (
    "not_a_server_error",
    "status_is_described",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)


def main() -> int:
    seed = int(os.environ.get("SEED") or randrange(2**31))
    print(f"seed {seed}", flush=True)
    began = time.monotonic()
    counted: Counter[str] = Counter()
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="fuzz-") as folder,
        dev(Path(folder), "--ephemeral", "--port", "0", "--json") as plane,
    ):
        place = Path(folder)
        failures = asyncio.run(set_up(plane, place))
        if failures:
            print(f"not active, so nothing can refer to them: {', '.join(failures)}")
            return 1
        for name in sorted(PROVIDERS):
            left = SECONDS_MAX - (time.monotonic() - began)
            if not fuzzed(plane, place, name, seed, left):
                failed.append(name)
            counted.update(request_counts(place))
        defects = log_lines(plane, "defect")
    took = time.monotonic() - began
    print(f"{counted.total()} requests in {took:.0f} s, seed {seed}")
    print(", ".join(f"{request}: {n}" for request, n in sorted(counted.items())))
    print(f"failed: {', '.join(failed) or 'nothing'}; defects in the logs: {len(defects)}")
    for line in defects[:5]:
        print(line)
    return 0 if not failed and not defects and counted.total() >= CASES_MIN else 1


async def set_up(plane: DevProcess, place: Path) -> list[str]:
    """Create the resources that requests can refer to; the kinds whose resource is not active."""
    async with scene.creator(plane.details.url, plane.details.token) as creator:
        skus = await creator.names_of_skus()
        (place / "targets.json").write_bytes(msgspec.json.encode(scene.targets(skus)))
        return await creator.resources(skus)


def fuzzed(plane: DevProcess, place: Path, name: str, seed: int, seconds: float) -> bool:
    """Fuzz one provider; false if a check failed or the time ran out."""
    if seconds <= 0:
        print(f"{name}: no time left")
        return False
    own = name.startswith("secaplane.")
    token = plane.details.operator_token if own else plane.details.token
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent),
        "SCHEMATHESIS_HOOKS": "hooks",
        "FUZZ_TARGETS": str(place / "targets.json"),
        "FUZZ_COUNTS": str(place / "counts.json"),
    }
    argv = (
        str(SCHEMATHESIS),
        "run",
        f"{plane.details.url}/openapi/{name}.json",
        f"--header=Authorization: Bearer {token}",
        f"--max-examples={EXAMPLES}",
        f"--seed={seed}",
        f"--checks={','.join(CHECKS)}",
        "--generation-database=none",
        "--continue-on-failure",
        "--warnings=off",
        "--no-color",
    )
    try:
        return subprocess.run(argv, env=environment, cwd=place, timeout=seconds).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{name}: not finished after {seconds:.0f} s")
        return False


def request_counts(place: Path) -> dict[str, int]:
    counts = place / "counts.json"
    if not counts.exists():
        return {}
    decoded = msgspec.json.decode(counts.read_bytes(), type=dict[str, int])
    counts.unlink()
    return decoded


def log_lines(plane: DevProcess, message: str) -> list[str]:
    """The lines of the process logs with that message."""
    lines = [
        line
        for log in plane.logs.glob("*.log")
        for line in log.read_text(errors="replace").splitlines()
    ]
    return [line for line in lines if f'"message":"{message}"' in line]


if __name__ == "__main__":
    sys.exit(main())
