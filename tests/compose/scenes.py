"""Faults and repairs of the layout, in order. Each runs under load and ends with all healthy."""

import json
import time
from collections.abc import Callable
from typing import Any

from tests.compose.shell import Failed, say
from tests.compose.site import Site, blocks
from tests.source import ROOT

HEALTHY_S_MAX = 300.0
POLL_S = 1.0
UNDER_LOAD_S = 3.0
QUERIES = 3
ONCE = "nats-folders"
"""The service that prepares the volumes and ends."""
LEADER = "http://127.0.0.1:8222/jsz?streams=1&accounts=1"


def containers(site: Site) -> list[dict[str, Any]]:
    """Every container of the project, as `docker compose ps` describes it."""
    lines = site.compose("ps", "--all", "--format", "json").splitlines()
    return [json.loads(line) for line in lines]


def healthy(site: Site) -> None:
    """Waits until all containers are healthy.

    Raises:
        Failed: they do not become healthy in time.
    """
    until = time.monotonic() + HEALTHY_S_MAX
    states: dict[str, str] = {}
    while time.monotonic() < until:
        states = {each["Name"]: _state(each) for each in containers(site)}
        if states and set(states.values()) == {"healthy"}:
            return
        time.sleep(POLL_S)
    raise Failed(f"not healthy after {HEALTHY_S_MAX:.0f} s: {states}\n{_last_lines(site, states)}")


def _state(container: dict[str, Any]) -> str:
    if container["Service"] == ONCE and container["State"] == "exited":
        return "healthy" if container["ExitCode"] == 0 else f"exit {container['ExitCode']}"
    return str(container["Health"] or container["State"])


def _last_lines(site: Site, states: dict[str, str]) -> str:
    ill = [name for name, state in states.items() if state != "healthy"]
    return "".join(f"{each}:\n{_log(site, each, 5)}" for each in ill)


def _log(site: Site, container: str, lines: int) -> str:
    argv = ("logs", "--tail", str(lines), container)
    return site.engine.docker(*argv, both=True)


def tenant_and_walk(site: Site) -> None:
    """The tenant of the guide, then the walk of the project's README, as printed."""
    _, *tenant = blocks("Start")
    for each in tenant:
        site.script(each)
    said = site.script("\n".join(blocks("A walk", ROOT / "README.md")), seconds=300)
    for shown in ("201 Created", '"status":412', '"status":422', '"status":409', "404 Not Found"):
        if shown not in said:
            raise Failed(f"the walk shows no {shown}:\n{said[-3000:]}")


def leader_killed(site: Site) -> None:
    """The node that leads the stream of events dies and comes again."""
    leader = _leader(site)
    say(f"  the leader is {leader}")
    site.compose("kill", leader)
    time.sleep(UNDER_LOAD_S)
    site.compose("start", leader)


def _leader(site: Site) -> str:
    for name in ("nats-1", "nats-2", "nats-3"):
        shown = json.loads(site.compose("exec", "-T", name, "wget", "-q", "-O", "-", LEADER))
        for account in shown.get("account_details", ()):
            for stream in account.get("stream_detail", ()):
                if stream["name"].startswith("SECA") and "AUDIT" not in stream["name"].upper():
                    return str(stream["cluster"]["leader"])
    raise Failed("no node names the leader of the stream")


def query_stops(site: Site) -> None:
    """One query hangs, then is killed; readers are added and removed."""
    first = site.compose("ps", "--quiet", "query").split()[0]
    site.engine.docker("pause", first)
    time.sleep(UNDER_LOAD_S * 2)
    site.engine.docker("unpause", first)
    site.engine.docker("kill", first)
    time.sleep(UNDER_LOAD_S)
    for number in (QUERIES + 2, QUERIES - 1, QUERIES):
        site.compose("up", "--detach", "--no-recreate", "--scale", f"query={number}")
        time.sleep(UNDER_LOAD_S)


def database_restarts(site: Site) -> None:
    """PostgreSQL is restarted, then killed."""
    site.compose("restart", "postgres")
    time.sleep(UNDER_LOAD_S)
    site.compose("kill", "postgres")
    site.compose("start", "postgres")


def rebuilt(site: Site) -> None:
    """The tables are built again beside those in use, and the former ones retired."""
    config = ("--config", "/etc/secaplane/secaplane.toml")
    for step in ("rebuild", "retire"):
        site.compose("exec", "-T", "projector", "secaplane", "projector", step, *config)


def everything_recreated(site: Site) -> None:
    """Every service gets new containers, one service after the other."""
    for name in site.compose("config", "--services").split():
        if name != ONCE:
            site.compose("up", "--detach", "--no-deps", "--force-recreate", name)
            healthy(site)


def down_and_up(site: Site) -> None:
    """All containers are removed, the volumes stay, and everything starts again."""
    site.compose("down")
    site.compose("up", "--detach")


SCENES: tuple[Callable[[Site], None], ...] = (
    leader_killed,
    query_stops,
    database_restarts,
    rebuilt,
    everything_recreated,
    down_and_up,
)
