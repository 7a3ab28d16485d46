"""`make dependencies` measures everything, `make bench-growth` only what needs large data; both
print the table and write their figures to `dependencies.json`."""

import sys

import uvloop

from tests.bench import (
    catalogue_figures,
    growth_figures,
    http_figures,
    log_figures,
    policy_figures,
    restart_figures,
)
from tests.bench.figures import Figure, figure, keep, table
from tests.plane import running_plane


async def main(*, growth_only: bool) -> None:
    found: dict[str, Figure] = {}
    if not growth_only:
        found |= await everything_small()
    found |= await growth_figures.measure()
    found |= await restart_figures.measure()
    keep(found)
    print(table(found))


async def everything_small() -> dict[str, Figure]:
    found = catalogue_figures.measure()
    async with running_plane() as plane:
        found["rss_mib"] = figure([max(plane.rss_mib().values())], "MiB")
        found |= await http_figures.measure(plane)
        found |= await log_figures.measure(plane)
    found |= await policy_figures.measure(found["get_per_second"].median)
    return found | await log_figures.measure_histories()


if __name__ == "__main__":
    uvloop.run(main(growth_only=sys.argv[1:] == ["growth"]))
