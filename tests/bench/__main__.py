"""`make bench` measures every figure, `make bench-growth` only those that need large data. Both
print a table and add their figures to `bench.json`."""

import sys

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
    replica_figures,
    restart_figures,
    siem_figures,
    sustained_figures,
    tamper_figures,
    verify_figures,
)
from tests.bench.figures import Figure, figure, store, table
from tests.plane import running_plane


async def main(*, growth_only: bool) -> None:
    figures: dict[str, Figure] = {}
    if not growth_only:
        figures |= await everything_small()
    figures |= await growth_figures.measure()
    figures |= await restart_figures.measure()
    store(figures)
    print(table(figures))


async def everything_small() -> dict[str, Figure]:
    figures = catalogue_figures.measure() | parsing_figures.measure() | siem_figures.measure()
    async with running_plane() as plane:
        figures["rss_mib"] = figure([max(plane.rss_mib().values())], "MiB")
        figures |= await http_figures.measure(plane)
        figures |= await log_figures.measure(plane)
        figures |= await history_figures.measure(plane)
    figures |= await replica_figures.measure()
    figures |= await drift_figures.measure()
    figures |= await sustained_figures.measure()
    figures |= await fair_share_figures.measure()
    figures |= await memory_figures.measure()
    figures |= await notary_figures.measure()
    figures |= await verify_figures.measure()
    figures |= await tamper_figures.measure()
    figures |= await policy_figures.measure(figures["get_per_second"].median)
    return figures | await log_figures.measure_histories()


if __name__ == "__main__":
    uvloop.run(main(growth_only=sys.argv[1:] == ["growth"]))
