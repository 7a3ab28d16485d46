"""Faults and repairs of the layout, in order. Each runs under load and ends with all healthy."""

import json
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.compose.shell import Failed, run, say, timed
from tests.compose.site import Site, blocks, free_port
from tests.compose.stand_ins import names
from tests.source import ROOT

HEALTHY_S_MAX = 300.0
POLL_S = 1.0
UNDER_LOAD_S = 3.0
QUERIES = 3
IMAGE = "secaplane:0.1.0"
ONCE = ("nats-folders", "proxy-folders")
"""The services that prepare the volumes and end."""
RELEASED = ("command", "command-b", "query", "query-b", "projector", "projector-b", "reconcilers")
"""The services that run the image of the product; the cloud too, which is no part of it."""
REPLICA = ("postgres-b", "projector-b", "query-b")
TAKEN_OVER_S_MAX = 10.0
"""As deploy/README.md says of partitions whose process died."""
READ_YOUR_WRITE = """
HOST=http://127.0.0.1:8080/providers/seca.workspace/v1/tenants/demo/workspaces
seca() { curl -sS --fail-with-body -H "Authorization: Bearer $TOKEN" "$@"; }
seca -X PUT $HOST/replica -H "Content-Type: application/json" -d '{"spec": {}}' > /dev/null
seca $HOST
"""
LEADER = "http://127.0.0.1:8222/jsz?streams=1&accounts=1"


def containers(site: Site) -> list[dict[str, Any]]:
    """Every container of the project, as `docker compose ps` describes it."""
    lines = site.compose("ps", "--all", "--format", "json").splitlines()
    return [json.loads(line) for line in lines]


def healthy(site: Site) -> int:
    """Waits until all containers that the layout asks for run and are healthy; returns how many.

    Raises:
        Failed: they do not become healthy in time.
    """
    until, expected = time.monotonic() + HEALTHY_S_MAX, _expected(site)
    states: dict[str, str] = {}
    while time.monotonic() < until:
        found = containers(site)
        states = {each["Name"]: _state(each) for each in found}
        running = Counter(each["Service"] for each in found if each["Service"] not in ONCE)
        if running == expected and set(states.values()) == {"healthy"}:
            return running.total()
        time.sleep(POLL_S)
    raise Failed(f"not healthy after {HEALTHY_S_MAX:.0f} s: {states}\n{_last_lines(site, states)}")


def _expected(site: Site) -> Counter[str]:
    """The number of containers of each service that runs all the time."""
    services = json.loads(site.compose("config", "--format", "json"))["services"]
    return Counter(
        {
            name: int(service.get("deploy", {}).get("replicas", 1))
            for name, service in services.items()
            if name not in ONCE
        }
    )


def _state(container: dict[str, Any]) -> str:
    if container["Service"] in ONCE and container["State"] == "exited":
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
    """One query hangs, then is killed, and is started again."""
    first = site.compose("ps", "--quiet", "query").split()[0]
    site.engine.docker("pause", first)
    time.sleep(UNDER_LOAD_S * 2)
    site.engine.docker("unpause", first)
    site.engine.docker("kill", first)
    time.sleep(UNDER_LOAD_S)
    site.engine.docker("start", first)


def queries_scaled(site: Site) -> None:
    """Readers are added and removed; the proxy is replaced, so that it knows them."""
    for number in (QUERIES + 2, QUERIES):
        site.set("QUERY_COUNT", str(number))
        site.compose("up", "--detach")
        healthy(site)


def reconcilers_die(site: Site) -> None:
    """One of the two is killed, and hangs when it is back; the other takes over its partitions."""
    first = site.compose("ps", "--quiet", "reconcilers").split()[0]
    site.engine.docker("kill", first)
    time.sleep(TAKEN_OVER_S_MAX)
    site.engine.docker("start", first)
    healthy(site)
    site.engine.docker("pause", first)
    time.sleep(TAKEN_OVER_S_MAX)
    site.engine.docker("unpause", first)


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
        with timed(f"  {step}"):
            site.compose("exec", "-T", "projector", "secaplane", "projector", step, *config)


def second_replica_fills_and_serves(site: Site) -> None:
    """The second replica loses its database and fills a new one; then it alone answers reads."""
    site.compose("rm", "--stop", "--force", *REPLICA)
    site.engine.docker("volume", "rm", f"secaplane_{REPLICA[0]}")
    with timed("  filled"):
        site.compose("up", "--detach")
        healthy(site)
    site.compose("stop", "query", "postgres")
    shown = site.script(READ_YOUR_WRITE, seconds=60)
    if '"name":"replica"' not in shown:
        raise Failed(f"a list of the second replica lacks what was written before it: {shown}")
    site.compose("start", "postgres", "query")


def upgraded(site: Site) -> None:
    """A new image replaces the former one in all services, as the guide says."""
    with (site.folder / "README.md").open("a") as page:
        page.write("\nAnother release.\n")
    before = site.compose("ps", "--quiet", *RELEASED).split()
    for each in blocks("Upgrade"):
        site.script(each, seconds=1800)
    kept = set(before) & set(site.compose("ps", "--quiet", *RELEASED).split())
    if kept:
        raise Failed(f"{len(kept)} of {len(before)} containers have the former image")


def everything_recreated(site: Site) -> None:
    """Every service gets new containers, one service after the other."""
    for name in site.compose("config", "--services").split():
        if name not in ONCE:
            with timed(f"  {name}"):
                site.compose("up", "--detach", "--no-deps", "--force-recreate", name)
                healthy(site)


def image_holds_the_product_alone(site: Site) -> None:
    """No tool of the build, no test data, and the same files when it is built again."""
    first, again = _files(site), _files(site, built_again=True)
    for path in first:
        parts = path.split()[-1].lower().split("/")
        for unwanted in ("pip", "setuptools", "faker", "pygments", "node_modules", "ensurepip"):
            if unwanted in parts:
                raise Failed(f"the image holds {path}")
    if first != again:
        raise Failed(f"two builds differ: {sorted(set(first) ^ set(again))[:10]}")


def _files(site: Site, *, built_again: bool = False) -> list[str]:
    """Digest, mode, time and path of every file of the product in the image."""
    if built_again:
        build = ("build", "--no-cache", "--quiet", "--tag", "secaplane:again")
        python = f"PYTHON_IMAGE={names()['python']}"
        site.engine.docker(*build, "--build-arg", python, site.folder)
    image = "secaplane:again" if built_again else IMAGE
    listing = (
        "cd / && find opt/secaplane usr/local/lib -type f -print0 | sort -z | xargs -0 sha256sum"
        ' && find opt/secaplane usr/local/lib -type f -printf "%m %T@ %p\\n" | sort -k 3'
    )
    argv = ("run", "--rm", "--network", "none", "--entrypoint", "bash", image, "-c", listing)
    return site.engine.docker(*argv).splitlines()


def with_tls(site: Site) -> None:
    """The proxy with a certificate of its own, then without one again."""
    files = ("-f", "compose.yaml", "-f", "deploy/compose.tls.yaml")
    port = free_port()
    site.set("SITE_NAME", "localhost")
    site.set("LISTEN_HTTPS", f"127.0.0.1:{port}")
    site.set("LISTEN_HTTP", f"127.0.0.1:{free_port()}")
    site.compose(*files, "up", "--detach", "proxy")
    healthy(site)
    run(["curl", "-sS", "--fail", "--insecure", f"https://localhost:{port}/healthz"])
    site.compose("up", "--detach", "--remove-orphans")


def intact(site: Site) -> None:
    """The log has no hole, the rows of both replicas equal its fold, and the cloud holds nothing
    that the log does not know as living.

    Raises:
        Failed: one of them does not hold.
    """
    config = ("--config", "/etc/secaplane/secaplane.toml")
    for service in ("command", "projector-b"):
        with timed(f"  log check by {service}"):
            site.compose("exec", "-T", service, "secaplane", "log", "check", *config, seconds=1800)
    orphans = site.compose("exec", "-T", "reconcilers", "secaplane", "drift", "list", *config)
    if orphans.strip():
        raise Failed(f"the cloud holds what the log does not know as living:\n{orphans[:3000]}")


def down_and_up(site: Site) -> None:
    """All containers are removed, the volumes stay, and everything starts again."""
    site.compose("down")
    site.compose("up", "--detach")


SCENES: tuple[Callable[[Site], None], ...] = (
    leader_killed,
    query_stops,
    queries_scaled,
    reconcilers_die,
    database_restarts,
    rebuilt,
    second_replica_fills_and_serves,
    upgraded,
    everything_recreated,
    with_tls,
    down_and_up,
)
