"""Fills a fresh cloud: `seeding.py catalogue FOLDER`, then, when all services run, `seeding.py
resources FOLDER`.

Runs in the cloud's environment, as a file: it needs openstacksdk, and nothing of this package.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import openstack

HOST = "127.0.0.1"
REGION = "RegionOne"
UP_S_MAX, POLL_S = 120.0, 0.5
HYPERVISORS = 2
CINDER_SERVICES = 2
BACKEND = "files"
DOMAIN = "seca"
USER = PROJECT = "secaplane"
"""The plugin's user, and a project of its own: with a token of a domain, cinder and glance list
nothing."""

ENDPOINTS = (
    ("glance", "glance", "image", ""),
    ("placement", "placement", "placement", ""),
    ("nova", "nova", "compute", "/v2.1"),
    ("neutron", "neutron", "network", ""),
    ("cinder", "cinder", "block-storage", "/v3"),
    ("cinder", "cinderv3", "volumev3", "/v3"),  # the older name, under which nova looks for it
)
"""(service, name in the catalogue, type, path)"""

FLAVORS = (
    *("1V-2", "1V-4", "1V-8", "2V-4", "2V-4-20s", "2V-8", "2V-16", "4V-8", "4V-16", "4V-16-100s"),
    *("4V-32", "8V-16", "8V-32", "16V-32", "1L-1"),
)
"""The mandatory flavors of SCS (scs-0103): processors and their kind, GiB of memory, GB of disk."""
PROCESSORS = {"V": "shared-core", "L": "crowded-core"}
DISKS = {"s": "ssd"}
VOLUME_TYPES = {
    "standard": "files of the machine",
    "secure": "[scs:encrypted, replicated] claimed for tests; the same files",
}
IMAGE = {
    "name": "Ubuntu 24.04",
    "architecture": "x86_64",
    "os_distro": "ubuntu",
    "os_version": "24.04",
    "os_purpose": "generic",
    "hw_disk_bus": "virtio",
    "hw_rng_model": "virtio",
    "hw_scsi_model": "virtio-scsi",
    "image_build_date": "2026-11-01",
    "image_description": "https://images.example/ubuntu-24.04",
    "image_original_user": "ubuntu",
    "image_source": "https://images.example/ubuntu-24.04.qcow2",
    "provided_until": "2029-05-31",
    "replace_frequency": "monthly",
    "uuid_validity": "last-1",
}
"""With the properties that SCS asks for, except `hypervisor_type`: with it nova finds no host."""
EXTERNAL_CIDR = "198.51.100.0/24"


def main() -> None:
    part, folder = sys.argv[1:]
    facts = json.loads((Path(folder) / "cloud.json").read_text())
    login = {
        "auth_url": f"http://{HOST}:{facts['ports']['keystone']}/v3",
        "username": "admin",
        "password": facts["password"],
        "project_name": "admin",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }
    # no cloud of the environment or of the user's files is used
    cloud = openstack.connect(
        load_yaml_config=False, load_envvars=False, auth=login, region_name=REGION
    )
    if part == "catalogue":
        catalogue(cloud, facts)
    else:
        resources(cloud)


# --- in keystone


def catalogue(cloud: openstack.connection.Connection, facts: Mapping[str, Any]) -> None:
    """Makes the services' users and endpoints, and the domain and the user of the plugin."""
    identity = cloud.identity
    roles = {role.name: role for role in identity.roles()}
    _service_users(identity, roles, facts["password"])
    for service, name, kind, path in ENDPOINTS:
        entry = identity.create_service(name=name, type=kind)
        url = f"http://{HOST}:{facts['ports'][service]}{path}"
        for face in ("public", "internal", "admin"):
            identity.create_endpoint(service_id=entry.id, interface=face, url=url, region_id=REGION)
    _plugin_user(identity, roles, facts["password"])


def _service_users(identity: Any, roles: Mapping[str, Any], password: str) -> None:
    project = identity.create_project(name="service", domain_id="default")
    for name in ("glance", "placement", "nova", "neutron", "cinder"):
        user = identity.create_user(name=name, password=password, domain_id="default")
        for role in ("service", "admin"):
            identity.assign_project_role_to_user(project, user, roles[role])


def _plugin_user(identity: Any, roles: Mapping[str, Any], password: str) -> None:
    """The user may create projects in its domain and grant roles in them, and nothing outside."""
    domain = identity.create_domain(name=DOMAIN)
    user = identity.create_user(name=USER, password=password, domain_id=domain.id)
    identity.assign_domain_role_to_user(domain, user, roles["manager"])
    project = identity.create_project(name=PROJECT, domain_id=domain.id)
    identity.assign_project_role_to_user(project, user, roles["reader"])


# --- in the other services


def resources(cloud: openstack.connection.Connection) -> None:
    """Makes what an operator offers: flavors, volume types, an image, an external network."""
    for name in FLAVORS:
        _flavor(cloud.compute, name)
    for name, description in VOLUME_TYPES.items():
        cloud.block_storage.create_type(
            name=name,
            description=description,
            extra_specs={"volume_backend_name": BACKEND},
        )
    # every installation has it, without a backend
    cloud.block_storage.delete_type(cloud.block_storage.find_type("__DEFAULT__"))
    cloud.image.create_image(
        disk_format="qcow2",
        container_format="bare",
        visibility="public",
        min_disk=1,
        min_ram=512,
        data=_qcow2(),
        **IMAGE,
    )
    network = cloud.network.create_network(
        name="public",
        is_router_external=True,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    cloud.network.create_subnet(
        name="public-ipv4",
        network_id=network.id,
        ip_version=4,
        cidr=EXTERNAL_CIDR,
        is_dhcp_enabled=False,
    )
    _wait_for_hosts(cloud)


def _flavor(compute: Any, name: str) -> None:
    processors, memory, *disks = name.split("-")
    count, kind = int(processors[:-1]), processors[-1]
    disk = disks[0] if disks else ""
    size = int(disk.rstrip("".join(DISKS)) or 0)
    flavor = compute.create_flavor(
        name=f"SCS-{name}", vcpus=count, ram=int(memory) * 1024, disk=size
    )
    specs = {
        "scs:name-v1": f"SCS-{':'.join(name.split('-'))}",
        "scs:name-v2": f"SCS-{name}",
        "scs:cpu-type": PROCESSORS[kind],
        "hw_rng:allowed": "True",
    }
    if disk:
        specs["scs:disk0-type"] = DISKS[disk[-1]]
    compute.create_flavor_extra_specs(flavor, specs)


def _qcow2() -> bytes:
    """A true image that holds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.qcow2"
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", path, "64M"], check=True)
        return path.read_bytes()


def _wait_for_hosts(cloud: openstack.connection.Connection) -> None:
    """Waits until servers can be scheduled: hypervisors are listed when they belong to a cell."""
    end = time.monotonic() + UP_S_MAX
    while True:
        hypervisors = len(list(cloud.compute.hypervisors(details=False)))
        services = [each for each in cloud.block_storage.services() if each.state == "up"]
        if hypervisors >= HYPERVISORS and len(services) >= CINDER_SERVICES:
            return
        if time.monotonic() > end:
            sys.exit(
                f"after {UP_S_MAX:.0f} s {hypervisors} hypervisors of {HYPERVISORS} and"
                f" {len(services)} services of cinder of {CINDER_SERVICES} are up"
            )
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()
