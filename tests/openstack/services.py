"""The services of OpenStack: their schemas, their command lines, and how it is known that each
answers."""

import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.openstack import processes
from tests.openstack.configuration import HYPERVISORS, database_url
from tests.openstack.layout import REGION, Cloud
from tests.openstack.processes import Argv

ANSWER_S_MAX = 120.0
SERVE = Path(__file__).with_name("serve_wsgi.py")
NEVER_A_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Api:
    """A service's API: a WSGI application, and how it is given its configuration."""

    service: str
    module: str
    threads: int
    options: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


# --- schemas


def prepare_keystone(cloud: Cloud) -> None:
    """Makes keystone's tables, its keys, and the user `admin`."""
    manage = ["keystone-manage", "--config-file", str(cloud.etc / "keystone" / "keystone.conf")]
    owner = ["--keystone-user", "root", "--keystone-group", "root"]
    urls = [
        part
        for face in ("public", "internal", "admin")
        for part in (f"--bootstrap-{face}-url", cloud.keystone)
    ]
    name, secret = "keystone-schema", {"OS_BOOTSTRAP_PASSWORD": cloud.password}
    processes.run(cloud, name, [*manage, "db_sync"])
    processes.run(cloud, name, [*manage, "fernet_setup", *owner])
    processes.run(cloud, name, [*manage, "credential_setup", *owner])
    bootstrap = ["bootstrap", "--bootstrap-region-id", REGION, *urls]
    processes.run(cloud, name, [*manage, *bootstrap], env=secret)


def prepare_neutron(cloud: Cloud) -> None:
    config = cloud.etc / "neutron" / "neutron.conf"
    argv: Argv = ["neutron-db-manage", "--config-file", config, "upgrade", "heads"]
    processes.run(cloud, "neutron-schema", argv, env={"PYTHONPATH": str(cloud.library)})


def prepare_small(cloud: Cloud) -> None:
    """Makes the tables of glance, placement and cinder."""
    for service, config, command in (
        ("glance", "glance-api.conf", ["db_sync"]),
        ("placement", "placement.conf", ["db", "sync"]),
        ("cinder", "cinder.conf", ["db", "sync"]),
    ):
        path = cloud.etc / service / config
        argv: Argv = [f"{service}-manage", "--config-file", path, *command]
        processes.run(cloud, f"{service}-schema", argv)


def prepare_nova(cloud: Cloud) -> None:
    """Makes nova's tables, and its two cells: one for what could not be scheduled."""
    cell0 = database_url(cloud, "nova_cell0")
    for command in (
        ["api_db", "sync"],
        ["cell_v2", "map_cell0", "--database_connection", cell0],
        ["db", "sync"],
        ["cell_v2", "create_cell", "--name", "cell1"],
    ):
        config = cloud.etc / "nova" / "nova.conf"
        argv: Argv = ["nova-manage", "--config-file", config, *command]
        processes.run(cloud, "nova-schema", argv)


# --- processes


def start_keystone(cloud: Cloud) -> None:
    env = {"OS_KEYSTONE_CONFIG_FILES": str(cloud.etc / "keystone" / "keystone.conf")}
    api = Api("keystone", "keystone.wsgi.api", threads=6, env=env)
    wait_for_api(cloud, api, start_api(cloud, api))


def start_rest(cloud: Cloud) -> None:
    """Starts all services but keystone, and waits until each API answers."""
    started = [(api, start_api(cloud, api)) for api in _apis(cloud)]
    for service, name in (
        ("nova", "nova-conductor"),
        ("nova", "nova-scheduler"),
        ("cinder", "cinder-scheduler"),
        ("cinder", "cinder-volume"),
    ):
        config = cloud.etc / service / f"{service}.conf"
        processes.start(cloud, name, [name, "--config-file", config])
    for api, process in started:
        wait_for_api(cloud, api, process)
    # not before the APIs, because a hypervisor ends if placement does not answer
    for host in HYPERVISORS:
        (cloud.var / host).mkdir()
        files = [cloud.etc / "nova" / name for name in ("nova.conf", f"{host}.conf")]
        options = [part for file in files for part in ("--config-file", file)]
        processes.start(cloud, f"nova-compute-{host}", ["nova-compute", *options])


def start_api(cloud: Cloud, api: Api) -> "subprocess.Popen[bytes]":
    port = str(cloud.ports[api.service])
    python, threads = cloud.venv / "bin" / "python", str(api.threads)
    argv: Argv = [python, "-P", SERVE, api.module, port, threads, *api.options]
    return processes.start(cloud, api.service, argv, env=api.env)


def wait_for_api(cloud: Cloud, api: Api, process: "subprocess.Popen[bytes]") -> None:
    url = f"{cloud.url(api.service)}/"
    processes.wait_until(cloud, api.service, process, lambda: answers(url), ANSWER_S_MAX)


def answers(url: str) -> bool:
    """True for every answer, also one that refuses."""
    try:
        NEVER_A_PROXY.open(url, timeout=5).close()
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return True
    except OSError:
        return False
    return True


def _apis(cloud: Cloud) -> tuple[Api, ...]:
    etc = cloud.etc
    # nova reads its pipeline from the first file of the list
    nova = f"{cloud.venv}/etc/nova/api-paste.ini;{etc}/nova/nova.conf"
    neutron = {
        "OS_NEUTRON_CONFIG_FILES": f"{etc}/neutron/neutron.conf",
        "PYTHONPATH": str(cloud.library),
    }
    return (
        Api("glance", "glance.wsgi.api", 6, env={"OS_GLANCE_CONFIG_DIR": f"{etc}/glance"}),
        Api(
            "placement",
            "placement.wsgi.api",
            4,
            env={"OS_PLACEMENT_CONFIG_DIR": f"{etc}/placement"},
        ),
        Api("neutron", "neutron.wsgi.api", 8, env=neutron),
        Api("cinder", "cinder.wsgi.api", 6, ("--config-file", f"{etc}/cinder/cinder.conf")),
        Api(
            "nova",
            "nova.wsgi.osapi_compute",
            8,
            env={"OS_NOVA_CONFIG_DIR": "/", "OS_NOVA_CONFIG_FILES": nova},
        ),
    )
