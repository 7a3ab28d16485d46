"""`make bench`: measures, prints the table, writes `bench.json`."""

import sys

import uvloop

from tests.bench import http_figures, log_figures, restart_figures
from tests.bench.figures import Figure, figure, keep, table
from tests.stand import stand


async def main() -> None:
    found: dict[str, Figure] = {}
    async with stand() as house:
        found["rss_mib"] = figure([max(house.rss_mib().values())], "MiB")
        found |= await http_figures.measure(house)
        found |= await log_figures.measure(house)
    found |= await log_figures.measure_histories()
    found |= await restart_figures.measure()
    keep(found)
    print(table(found))


if __name__ == "__main__":
    if sys.argv[1:]:
        sys.exit(f"there is no bench {sys.argv[1:]} yet")
    uvloop.run(main())
