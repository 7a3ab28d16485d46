"""Offline verification: its CPU beside a bare loop of SHA-256 over the same events; its memory at
1,000,000 events beside that at 100,000, each in a process of its own; and a receipt at 1,000,000.

Alone: `python -m tests.bench.verify_figures`.
"""

import asyncio
import resource
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path

from secaplane.audit.notary.export_folder import ExportFolder, bundles
from secaplane.audit.notary.receipts import exported_receipt, verify_receipt
from secaplane.audit.tlog.tlog_proofs import parse_proof
from secaplane.cli.operate.history_verify import read_policy, verify
from tests.bench import exported
from tests.bench.figures import Figure, figure, table

FEW, MANY = 100_000, 1_000_000
REPEATS, RECEIPTS = 5, 200


async def measure() -> dict[str, Figure]:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        policy = exported.write_policy(place / "policy")
        few, many = place / "few", place / "many"
        exported.write(few, FEW)
        ratios = [await _part("ratio", few, policy) for _ in range(REPEATS)]
        exported.write(many, MANY)
        small, large = [await _part("memory", each, policy) for each in (few, many)]
        size, took_ms = _receipt(many, policy)
        return {
            "receipt_bytes": figure([size], "B"),
            "receipt_ms": figure(took_ms, "ms"),
            "verify_vs_sha": figure(ratios, "ratio"),
            "verify_memory": figure([large / small], "ratio"),
            "verify_mib": figure([large], "MiB"),
        }


def _receipt(folder: Path, policy: Path) -> tuple[int, list[float]]:
    """Bytes of a receipt, and the milliseconds of its verifications."""
    made, event = exported_receipt(ExportFolder(folder / exported.STREAM), MANY // 2 + 1)
    trusted, took_ms, data = read_policy(policy), list[float](), made.written
    for _ in range(RECEIPTS):
        began = time.perf_counter()
        verify_receipt(
            parse_proof(data),
            trusted,
            stream=exported.STREAM,
            subject=event.subject,
            stored=event.data,
        )
        took_ms.append(1000 * (time.perf_counter() - began))
    return len(data), took_ms


async def _part(of: str, folder: Path, policy: Path) -> float:
    argv = (sys.executable, "-m", "tests.bench.verify_figures", of, str(folder), str(policy))
    process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return float(out.split()[-1])


def memory_mib(folder: Path, policy: Path) -> float:
    """Peak resident memory of a verification."""
    _verify(folder, policy)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def ratio(folder: Path, policy: Path) -> float:
    """CPU of a loop that hashes each event once, from memory / CPU of a verification."""
    began = time.process_time()
    _verify(folder, policy)
    verified_s = time.process_time() - began
    export = ExportFolder(folder / exported.STREAM)
    data = [each.data for n in range(bundles(FEW)) for each in export.events(n) if each]
    began = time.process_time()
    for each in data:
        sha256(each).digest()
    return (time.process_time() - began) / verified_s


def _verify(folder: Path, policy: Path) -> None:
    status = verify(folder, policy=policy, seen=(), max_age_s=None, resume=None)
    assert status == 3, "good, but for what cannot be seen without an earlier checkpoint"


if __name__ == "__main__":
    if sys.argv[1:]:
        part = {"ratio": ratio, "memory": memory_mib}[sys.argv[1]]
        print(part(Path(sys.argv[2]), Path(sys.argv[3])))
    else:
        print(table(asyncio.run(measure())))
