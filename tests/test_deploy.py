"""The production layout, read as data: limits, hardening, TLS, and an image without what no process
imports."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from secaplane.audit.entries import SUBJECTS_OF_PROCESSES
from secaplane.audit.heads import link
from secaplane.cli.dev import embedded
from secaplane.eventlog.jetstream.key_bucket import bucket

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = ("command", "query", "projector", "reconcilers", "notary", "cloud")
LIMITS = ("mem_limit", "pids_limit", "cpus")
PLAINTEXT = re.compile(r"\b(http|nats|postgresql|postgres)://([^/\s\"']+)([^\s\"']*)")
LOOPBACK = re.compile(r"^(127\.0\.0\.1|localhost)(:|$)")
IMPORTING = """
import importlib, sys
from pathlib import Path

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
for name in {modules!r}:
    importlib.import_module(name)

from secaplane.command.body import BodyReader
from secaplane.edge.serving import app, health
from secaplane.edge.serving.metrics import Metrics
from secaplane.kinds import KINDS
from secaplane.model.errors import Invalid
import uvicorn

metrics = Metrics()
app.build(health.routes(lambda: health.Readiness(True), metrics, details=True), metrics=metrics)
uvicorn.Config(app, loop="none", http="httptools", ws="none").load()
try:
    BodyReader(region="r").read(KINDS["block-storage"], {{"spec": {{"sizeGB": "x"}}}})
except Invalid:
    print("a broken body is refused with its pointers")
"""


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_of_memory_processes_and_cpu(name: str) -> None:
    for limit in LIMITS:
        assert SERVICES[name][limit], limit


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    if name != "nats-folders":  # it gives the volumes to the user of the nodes, and ends
        assert not service.get("user", "10001").startswith("0")


@pytest.mark.parametrize("name", SERVICES)
def test_the_logs_of_every_service_are_rotated(name: str) -> None:
    logging = SERVICES[name]["logging"]
    assert logging["driver"] == "json-file"
    assert set(logging["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "nats-folders"])
def test_every_health_check_asks_without_starting_an_interpreter(name: str) -> None:
    command = SERVICES[name]["healthcheck"]["test"]
    assert command[1] in ("wget", "pg_isready", "bash")
    if name in OWN:
        settings = tomllib.loads((DEPLOY / "secaplane.toml").read_text())
        assert f"/dev/tcp/127.0.0.1/{settings['monitor']['check_port']} " in command[-1]


def test_folders_in_memory_belong_to_the_user_of_a_proxy_that_writes_them() -> None:
    for folder in SERVICES["proxy"]["tmpfs"]:
        assert "uid=10001,gid=10001" in folder


def test_one_service_builds_the_image_of_all() -> None:
    """Several that build one image build it several times."""
    assert [name for name in OWN if "build" in SERVICES[name]] == ["command"]
    assert all(SERVICES[name]["pull_policy"] == "never" for name in OWN if name != "command")


def test_the_proxy_knows_the_servers_that_compose_starts() -> None:
    proxy = SERVICES["proxy"]
    for name in ("query", "command"):
        count = f"{name.upper()}_COUNT"
        assert SERVICES[name]["deploy"]["replicas"] == proxy["environment"][count]
        assert f'named {name} "$${count}"' in proxy["command"][0]
        assert f"named {name}-b 1" in proxy["command"][0]


@pytest.mark.parametrize("name", ["command", "query"])
def test_one_service_answers_while_another_one_is_replaced(name: str) -> None:
    """Compose replaces all containers of a service at once. The proxy finds both by one name."""
    other = SERVICES[f"{name}-b"]
    assert other["command"] == SERVICES[name]["command"]
    assert other["networks"]["front"] == {"aliases": [name]}
    assert other.get("deploy", {}).get("replicas", 1) == 1


def test_the_guide_makes_every_password() -> None:
    guide = (DEPLOY / "README.md").read_text()
    names = re.findall(r"\$\{(\w+)_PASSWORD", (ROOT / "compose.yaml").read_text())
    (made,) = re.findall(r"^for name in (.*?)^do", guide, re.M | re.S)
    assert set(made.replace("\\", " ").split()) == set(names)


def test_the_user_that_makes_backups_can_write_no_event() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    (rights,) = re.findall(r"^BACKS_UP: \{(.*?)^\}", nats, re.M | re.S)
    allowed = re.findall(r'"([^"]+)"', rights)
    assert "$JS.API.STREAM.SNAPSHOT.>" in allowed
    assert not [each for each in allowed if each.startswith(("seca", "$KV", ">", "*"))]
    assert not any(word in rights for word in ("DELETE", "PURGE", "UPDATE", "STREAM.CREATE"))


def test_the_user_that_exports_to_a_siem_can_write_nothing() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    (rights,) = re.findall(r"^EXPORTS: \{(.*?)^\}", nats, re.M | re.S)
    allowed = re.findall(r'"([^"]+)"', rights)
    assert {each for each in allowed if not each.startswith("$JS.API.")} == {"_INBOX.>"}
    assert not any(word in rights for word in ("DELETE", "PURGE", "UPDATE", "STREAM.CREATE"))


def test_one_user_alone_can_destroy_keys() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    (rights,) = re.findall(r"^ERASES: \{(.*?)^\}", nats, re.M | re.S)
    publish, _ = (re.findall(r'"([^"]+)"', part) for part in rights.split("subscribe"))
    others = [x for x in publish if not x.startswith("$JS.API.") and "keys" not in x]
    assert others == ["secaplane.progress.>", "seca-audit.key-destroyed.>"]
    deletes = [x for x in publish if "DELETE" in x]
    assert deletes == [f"$JS.API.STREAM.MSG.DELETE.KV_{bucket('SECA')}"]
    rest = nats.replace(rights, "")
    assert "MSG.DELETE" not in rest
    for name in ("WRITES_THE_LOG", "WRITES_THE_LOG_AND_AUDITS"):
        (rights,) = re.findall(rf"^{name}: \{{(.*?)^\}}", nats, re.M | re.S)
        assert f'deny: ["$KV.{bucket("SECA")}.destroyed.>"]' in rights


def test_every_process_may_record_its_start_and_its_stop() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    names = ("READS_THE_LOG_AND_AUDITS", "FOLLOWS_THE_LOG", "WRITES_THE_LOG")
    for name in (*names, "WRITES_THE_LOG_AND_AUDITS", "KEEPS_THE_MERKLE_LOGS"):
        (rights,) = re.findall(rf"^{name}: \{{(.*?)^\}}", nats, re.M | re.S)
        everything = '"seca-audit.>"' in rights
        assert everything or all(f'"{each}"' in rights for each in SUBJECTS_OF_PROCESSES), name
    assert set(SUBJECTS_OF_PROCESSES) <= set(embedded.FOLLOW_THE_LOG)


def test_the_notary_can_append_only_its_start_and_stop_and_alone_has_its_keys() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    (rights,) = re.findall(r"^KEEPS_THE_MERKLE_LOGS: \{(.*?)^\}", nats, re.M | re.S)
    publish, subscribe = (re.findall(r'"([^"]+)"', part) for part in rights.split("subscribe"))
    assert all(
        re.match(r"\$JS\.API\.(STREAM\.(INFO|MSG\.GET)|DIRECT|CONSUMER)", x)
        for x in set(publish) - set(SUBJECTS_OF_PROCESSES) - set(link.OF_THE_NOTARY)
    )
    assert subscribe == ["_INBOX.>", link.HEADS, link.PROOFS, link.TILE, f"{link.ANSWERS}.>"]
    assert "user: notary, password: $NATS_NOTARY_PASSWORD, permissions: $KEEPS" in nats
    with_keys = [name for name in SERVICES if "notary-keys" in SERVICES[name].get("secrets", ())]
    assert with_keys == ["notary"]


def test_who_asks_the_notary_can_answer_only_as_a_process_that_records_heads() -> None:
    """A process that could answer to any inbox could confirm appends that did not happen."""
    nats = (DEPLOY / "nats.conf").read_text()
    rights = dict(re.findall(r"^(\w+): \{(.*?)^\}", nats, re.M | re.S))
    sent = {
        name: set(re.findall(r'"([^"]+)"', text.split("subscribe")[0]))
        for name, text in rights.items()
    }
    notary = {
        name: {x for x in each if x.startswith("secaplane.notary.")} for name, each in sent.items()
    }
    assert {name: each for name, each in notary.items() if each} == {
        "READS_THE_LOG_AND_AUDITS": {link.PROOFS, link.TILE, link.PUBLISH},
        "WRITES_THE_LOG_AND_AUDITS": {link.HEADS, f"{link.ANSWERS}.>"},
        "KEEPS_THE_MERKLE_LOGS": set(link.OF_THE_NOTARY),
    }
    assert not any("_INBOX" in each for own in sent.values() for each in own)


def test_two_builds_of_the_image_are_equal() -> None:
    """No compiled file has the time of its source; `make compose-test` compares two builds."""
    recipe = (ROOT / "Dockerfile").read_text() + (DEPLOY / "standard-library.sh").read_text()
    assert recipe.count("compileall") == recipe.count("--invalidation-mode unchecked-hash") == 2
    assert "PIP_NO_COMPILE=1" in recipe
    assert recipe.count("@$SOURCE_DATE_EPOCH") == 3


def test_no_address_between_the_parts_is_in_clear() -> None:
    text = (ROOT / "compose.yaml").read_text() + (DEPLOY / "secaplane.toml").read_text()
    for scheme, host, rest in PLAINTEXT.findall(text):
        address = f"{scheme}://{host}{rest}"
        if scheme in ("postgresql", "postgres"):
            assert "sslmode=verify-full&sslrootcert=" in rest, address
        elif "issuer" not in host and "PUBLIC_URL" not in address:
            assert LOOPBACK.match(host), address


def test_every_process_that_reads_events_has_their_keyring_and_no_other_has() -> None:
    for name in OWN:
        has = "events-keyring" in SERVICES[name].get("secrets", ())
        assert has == (name not in ("notary", "cloud")), name


def test_every_process_has_a_certificate_and_trusts_one_authority() -> None:
    for name in OWN:
        mounted = {
            each if isinstance(each, str) else (each["source"], each["target"])
            for each in SERVICES[name]["secrets"]
        }
        assert {"ca.crt", (f"{name}.crt", "tls.crt"), (f"{name}.key", "tls.key")} <= mounted
    for name in ("reconcilers", "cloud"):
        assert "cloud-token" in SERVICES[name]["secrets"]
    named = {
        each if isinstance(each, str) else each["source"]
        for service in SERVICES.values()
        for each in service.get("secrets", ())
    }
    assert named == set(COMPOSE["secrets"])


def test_nats_and_postgresql_accept_tls_alone() -> None:
    nats = (DEPLOY / "nats.conf").read_text()
    assert nats.count("handshake_first: true") == 1
    assert nats.count("cert_file:") == 2
    rules = [line.split() for line in (DEPLOY / "pg_hba.conf").read_text().splitlines()]
    assert {rule[0] for rule in rules if rule and rule[0] != "#"} == {"local", "hostssl"}
    assert "ssl=on" in SERVICES["postgres"]["command"]


def test_the_proxy_verifies_the_services() -> None:
    caddyfile = (DEPLOY / "Caddyfile").read_text()
    for name in ("query", "command"):
        assert f"tls_server_name {name}" in caddyfile
    to_services = caddyfile.count("reverse_proxy {")  # the others ask the proxy itself, on loopback
    assert caddyfile.count("import connection") == to_services
    assert caddyfile.count("tls_trusted_ca_certs") == caddyfile.count("(connection) {") == 1
    # of two transports the last one holds
    assert caddyfile.count("transport http") == to_services
    own = re.findall(r"reverse_proxy ([^{\s]\S+)", caddyfile)
    assert all(each.startswith("127.0.0.1:") for each in own)
    assert "tls_insecure_skip_verify" not in caddyfile


def test_every_image_can_be_pinned_by_digest() -> None:
    pinned = dict(re.findall(r"\[(\w+_IMAGE)\]=(\S+)", (DEPLOY / "pin-images.sh").read_text()))
    text = (ROOT / "compose.yaml").read_text()
    defaults = dict(re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", text))
    (python,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", (ROOT / "Dockerfile").read_text(), re.M)
    assert defaults | {"PYTHON_IMAGE": python} == pinned
    for image in re.findall(r"^\s+image: (\S+)", text, re.M):
        assert image.startswith(("${", "secaplane:")), image


@pytest.mark.parametrize(
    "script", ["certificates.sh", "pin-images.sh", "postgres-init.sh", "standard-library.sh"]
)
def test_every_script_can_be_parsed(script: str) -> None:
    subprocess.run(["bash", "-n", str(DEPLOY / script)], check=True, timeout=10)


def test_no_process_imports_what_the_image_leaves_out() -> None:
    (unused,) = re.findall(r'^ARG UNUSED="(.*?)"', (ROOT / "Dockerfile").read_text(), re.M | re.S)
    packages = unused.replace("\\", " ").split()
    pinned = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.txt").read_text(), re.M)
    assert set(packages) <= set(pinned)
    blocked = {name.replace("-", "_") for name in packages} | {"markdown_it"}
    modules = [
        "secaplane." + ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for layer in ("cli", "command", "query", "projector", "reconcilers", "plugins")
        for path in sorted((ROOT / layer).rglob("*.py"))
    ]
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTING.format(blocked=blocked, modules=modules)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "a broken body is refused" in done.stdout


def test_the_proxy_disconnects_clients_that_are_slow_or_idle() -> None:
    """One stranger's connections must not shut others out."""
    caddyfile = (DEPLOY / "Caddyfile").read_text()
    timeouts = re.search(r"timeouts \{([^}]*)\}", caddyfile)
    assert timeouts is not None
    set_ = dict(line.split() for line in timeouts[1].splitlines() if line.strip())
    assert set_.keys() == {"read_header", "read_body", "write", "idle"}
    assert set_["read_header"] == "10s"
    assert "max_header_size 64KB" in caddyfile
