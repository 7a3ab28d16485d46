"""Figures: medians and spreads, printed as a table and written to `dependencies.json`."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

FILE = Path("bench.json")


class Figure(msgspec.Struct, frozen=True):
    """Over the repeats of one run."""

    median: float
    low: float
    high: float
    unit: str


class Target(msgspec.Struct, frozen=True):
    """What a figure has to reach."""

    says: str
    at_least: float | None = None
    at_most: float | None = None

    def reached(self, figure: Figure) -> bool:
        low_enough = self.at_most is None or figure.median <= self.at_most
        return low_enough and (self.at_least is None or figure.median >= self.at_least)


TARGETS = {
    "operations": Target("operations of SECA served, of all there are", at_least=89),
    "kind_lines": Target("lines of code in a kind's file, over all kinds", at_most=40),
    "get_vs_bare": Target("GET by name / a bare route with the same bytes", at_least=0.35),
    "get_vs_bare_select": Target("GET by name / that route with one select", at_least=0.80),
    "put_vs_bare": Target("PUTs accepted / a bare route with a synced publish", at_least=0.30),
    "put_latency_vs_bare": Target("one PUT alone / that bare route", at_most=6),
    "put_latency_nowait_vs_bare": Target("the same, not waiting for rows", at_most=2),
    "put_to_active_ms": Target("PUT to active in GET, idle", at_most=60),
    "project_vs_bare": Target("events projected / events read, from a cold log", at_least=0.08),
    "put_history_growth": Target("cold PUT with 10,000 events / with 10", at_most=1.5),
    "reconcile_history_growth": Target("cold look with 10,000 events / with 10", at_most=1.5),
    "put_growth": Target("PUT with 500 in the same workspace / with 5", at_most=1.15),
    "get_growth": Target("GET with 1,000,000 rows / with 1,000", at_most=1.2),
    "list_last_vs_first": Target("last page of 1,000,000 rows / the first", at_most=1.2),
    "list_label_vs_plain": Target("the same by a label of a tenth / of all", at_most=2),
    "may_cached_us": Target("a remembered decision, p99", at_most=5),
    "may_first_us": Target("a caller's first one among 10,000 assignments, p99", at_most=1000),
    "may_growth": Target("the same among 100,000 / among 10,000", at_most=1.3),
    "may_disagreements": Target("with one plain enforcer, of 200,000 questions", at_most=0),
    "guard_share": Target("token and policy, of a GET's time", at_most=20),
    "policy_spread_ms": Target("a change of policy to another process", at_most=1000),
    "policy_start_s": Target("to know 100,000 assignments", at_most=2),
    "policy_start_block_ms": Target("nobody waits longer meanwhile", at_most=5),
    "restart_growth": Target("restart to ready, 200,000 events / 200", at_most=1.3),
    "rss_mib": Target("memory of the largest own process, idle", at_most=120),
}


def figure(values: Sequence[float], unit: str) -> Figure:
    return Figure(
        round(statistics.median(values), 3), round(min(values), 3), round(max(values), 3), unit
    )


class _Written(msgspec.Struct):
    figures: dict[str, Figure] = {}


def keep(found: dict[str, Figure]) -> None:
    """Add to the file what was measured now; what another run measured stays."""
    known = msgspec.json.decode(FILE.read_bytes(), type=_Written) if FILE.exists() else _Written()
    written = _Written(known.figures | found)
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(written)) + b"\n")


def table(found: dict[str, Figure]) -> str:
    lines = [f"{'figure':28} {'median':>9} {'low':>9} {'high':>9} {'unit':6} target"]
    for name, each in found.items():
        target = TARGETS.get(name)
        lines.append(
            f"{name:28} {each.median:9.3f} {each.low:9.3f} {each.high:9.3f} {each.unit:6} "
            + (_judged(target, each) if target else "")
        )
    return "\n".join(lines)


def _judged(target: Target, each: Figure) -> str:
    wanted = f">= {target.at_least}" if target.at_most is None else f"<= {target.at_most}"
    return f"{wanted:8} {'reached' if target.reached(each) else 'NOT REACHED'}  {target.says}"
