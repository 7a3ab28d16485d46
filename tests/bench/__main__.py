"""`make bench` measures every figure, `make bench-growth` only those that need large data, and
`python -m tests.bench PART...` some parts. Each part prints its table and adds its figures to
`bench.json` when it ends; one that fails is named, and the others go on."""

import sys
import time
import traceback
from collections.abc import Awaitable, Callable

import uvloop

from tests.bench import (
    catalogue_figures,
    drift_figures,
    fair_share_figures,
    growth_figures,
    history_figures,
    http_figures,
    log_figures,
    memory_figures,
    notary_figures,
    parsing_figures,
    policy_figures,
    replay_figures,
    replica_figures,
    restart_figures,
    siem_figures,
    sustained_figures,
    tamper_figures,
    verify_figures,
)
from tests.bench.figures import TARGETS, Figure, figure, store, table
from tests.plane import running_plane

Figures = dict[str, Figure]
Part = Callable[[], Awaitable[Figures]]


async def offline() -> Figures:
    return catalogue_figures.measure() | parsing_figures.measure() | siem_figures.measure()


async def requests() -> Figures:
    """One control plane, idle and under load. A decision is a share of the GETs measured here."""
    async with running_plane() as plane:
        figures = {"rss_mib": figure([max(plane.rss_mib().values())], "MiB")}
        figures |= await http_figures.measure(plane)
        figures |= await log_figures.measure(plane)
        figures |= await history_figures.measure(plane)
    return figures | await policy_figures.measure(figures["get_per_second"].median)


SMALL: dict[str, Part] = {
    "offline": offline,
    "requests": requests,
    "replica": replica_figures.measure,
    "replay": replay_figures.measure,
    "drift": drift_figures.measure,
    "sustained": sustained_figures.measure,
    "fair-share": fair_share_figures.measure,
    "memory": memory_figures.measure,
    "notary": notary_figures.measure,
    "verify": verify_figures.measure,
    "tamper": tamper_figures.measure,
    "histories": log_figures.measure_histories,
}
LARGE: dict[str, Part] = {"growth": growth_figures.measure, "restart": restart_figures.measure}
PARTS = SMALL | LARGE


async def main(names: list[str]) -> int:
    """Exit status 1 if a part failed; a figure that misses its target is shown, and no failure."""
    figures, failed = Figures(), list[str]()
    for name in names:
        began = time.monotonic()
        try:
            measured = await PARTS[name]()
        except Exception:
            traceback.print_exc()
            failed.append(name)
            continue
        figures |= measured
        store(measured)
        print(
            table(measured), f"{name}: {time.monotonic() - began:.0f} s", "", sep="\n", flush=True
        )
    print("every figure:", table(figures), sep="\n")
    missed = [
        key for key, each in figures.items() if key in TARGETS and not TARGETS[key].reached(each)
    ]
    print("targets not reached:", ", ".join(missed) or "none")
    if failed:
        print("parts that failed:", ", ".join(failed))
    return 1 if failed else 0


def parts(arguments: list[str]) -> list[str]:
    """All parts where none is named; `growth` stands for those that need large data."""
    unknown = set(arguments) - PARTS.keys()
    if unknown:
        sys.exit(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return [*LARGE] if arguments == ["growth"] else arguments or [*PARTS]


if __name__ == "__main__":
    sys.exit(uvloop.run(main(parts(sys.argv[1:]))))
