"""Figures: medians and ranges, printed as a table and kept in `bench.json`."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

FILE = Path("bench.json")


class Figure(msgspec.Struct, frozen=True):
    """Median, lowest and highest value of the repeats of one run."""

    median: float
    low: float
    high: float
    unit: str


class Target(msgspec.Struct, frozen=True):
    """The bound that the median of a figure must keep."""

    description: str
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, figure: Figure) -> bool:
        low_enough = self.at_most is None or figure.median <= self.at_most
        return low_enough and (self.at_least is None or figure.median >= self.at_least)


TARGETS = {
    "operations": Target("operations of SECA served, of all there are", at_least=89),
    "kind_lines": Target("lines of code in the file of a kind", at_most=40),
    "core_lines": Target("lines of code from command to row and cloud, one kind", at_most=700),
    "ocsf_valid": Target("random events valid against OCSF's schema, of 10,000", at_least=10_000),
    "parse_growth": Target("CPU of the worst 1 MiB body / of a list of zeros", at_most=3),
    "get_vs_bare": Target("GET by name / a bare route with the same bytes", at_least=0.35),
    "get_vs_bare_select": Target("GET by name / that route with one select", at_least=0.80),
    "put_vs_bare": Target("PUTs accepted / a bare route with a synced publish", at_least=0.25),
    "sustained": Target("settled / accepted after a minute of 16 clients", at_least=0.95),
    "cpu_per_settled": Target("CPU of an active volume / of a bare PUT (once 13)", at_most=11),
    "fair_share": Target("PUT to active, another tenant deletes 4,000 / alone, p99", at_most=5),
    "put_latency_vs_bare": Target("latency of a single PUT / of that bare route", at_most=6),
    "put_latency_nowait_vs_bare": Target("the same, without waiting for the projection", at_most=2),
    "put_to_active_ms": Target("PUT to active in GET, idle", at_most=60),
    "reader_cost": Target("CPU outside a second replica for its GETs / its own", at_most=0.02),
    "asof_equal": Target("GETs as of then equal to a fold of the log, of 2,000", at_least=2000),
    "asof_vs_get": Target("time of a GET as of then / of a GET of the present", at_most=3),
    "project_vs_bare": Target("events projected / events read, from a cold log", at_least=0.08),
    "put_history_growth": Target("cold PUT with 10,000 events / with 10", at_most=1.5),
    "reconcile_history_growth": Target("cold reconcile with 10,000 events / with 10", at_most=1.5),
    "put_growth": Target("PUT with 500 siblings / with 5", at_most=1.15),
    "get_growth": Target("GET with 1,000,000 rows / with 1,000", at_most=1.2),
    "list_last_vs_first": Target("last page of 1,000,000 rows / the first", at_most=1.2),
    "list_label_vs_plain": Target("list by a label of a tenth of rows / of all", at_most=2),
    "drift_scan": Target(
        "GETs during 500 comparisons with the cloud a second / without", at_least=0.9
    ),
    "drift_scan_per_second": Target("comparisons a second meanwhile, of 500", at_least=450),
    "may_cached_us": Target("a cached authorization decision, p99", at_most=5),
    "may_first_us": Target("a caller's first decision among 10,000 assignments, p99", at_most=1000),
    "may_growth": Target("the same among 100,000 / among 10,000", at_most=1.3),
    "may_disagreements": Target("decisions unlike a plain enforcer's, of 200,000", at_most=0),
    "guard_share": Target("share of token and policy in the time of a GET", at_most=20),
    "policy_spread_ms": Target("until another process applies a policy change", at_most=1000),
    "policy_start_s": Target("to load 100,000 assignments", at_most=2),
    "policy_start_block_ms": Target("longest pause of other tasks meanwhile", at_most=5),
    "restart_growth": Target("restart to ready, 200,000 events / 200", at_most=1.3),
    "rss_large_specs": Target("largest process after 300 specs of 1 MB / before", at_most=1.5),
    "verify_vs_sha": Target("CPU of SHA-256 over the events / of verifying them", at_least=0.15),
    "verify_memory": Target("memory to verify 1,000,000 events / 100,000", at_most=1.1),
    "receipt_bytes": Target("receipt at 1,000,000 events, three witnesses", at_most=2048),
    "receipt_ms": Target("time to verify it", at_most=2),
    "tamper_found": Target("of 100,000 changes of an export, found at their place", at_least=100),
    "checkpoint_s": Target("from an accepted write to a signed checkpoint, p99", at_most=1),
    "cosigned_s": Target("the same to a quorum of 2 of 3 witnesses, p99", at_most=2),
    "put_with_notary": Target("PUTs with a notary / without", at_least=0.95),
    "notary_cpu": Target("CPU of the notary for an event / of a PUT", at_most=0.05),
    "rss_mib": Target("resident memory of the largest process, idle", at_most=120),
}


def figure(values: Sequence[float], unit: str) -> Figure:
    return Figure(
        round(statistics.median(values), 3), round(min(values), 3), round(max(values), 3), unit
    )


class _Written(msgspec.Struct):
    figures: dict[str, Figure] = {}


def store(figures: dict[str, Figure]) -> None:
    """Adds the figures to the file; figures of other runs stay."""
    known = msgspec.json.decode(FILE.read_bytes(), type=_Written) if FILE.exists() else _Written()
    written = _Written(known.figures | figures)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")


def table(figures: dict[str, Figure]) -> str:
    lines = [f"{'figure':28} {'median':>9} {'low':>9} {'high':>9} {'unit':6} target"]
    for name, each in figures.items():
        target = TARGETS.get(name)
        lines.append(
            f"{name:28} {each.median:9.3f} {each.low:9.3f} {each.high:9.3f} {each.unit:6} "
            + (_judged(target, each) if target else "")
        )
    return "\n".join(lines)


def _judged(target: Target, each: Figure) -> str:
    bound = f">= {target.at_least}" if target.at_most is None else f"<= {target.at_most}"
    return f"{bound:8} {'reached' if target.reached(each) else 'NOT REACHED'}  {target.description}"
