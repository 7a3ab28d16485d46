"""The configuration files of the services, each a table of sections and options."""

import re
from collections.abc import Mapping
from hashlib import md5
from pathlib import Path

from tests.openstack.layout import HOST, REGION, ZONE, Cloud

Options = Mapping[str, object]
Sections = Mapping[str, Options]

DATABASES = (
    "keystone",
    "glance",
    "placement",
    "nova_api",
    "nova",
    "nova_cell0",
    "neutron",
    "cinder",
)
DATABASE_USER = "openstack"
HYPERVISORS = ("fake-host-1", "fake-host-2")
"""Two, because a resize moves a server, and an anti-affinity keeps servers apart."""
SHARE = f"{HOST}:/secaplane"
"""The export that cinder looks for; a bind mount is there already when it looks."""
BACKEND = "files"
MECHANISM = "noop"
PLUGIN_DOMAIN = "seca"
PLUGIN_USER = PLUGIN_PROJECT = "secaplane"


def written(cloud: Cloud) -> None:
    """Writes the configuration of all services."""
    files = {
        "keystone/keystone.conf": _keystone(cloud),
        "glance/glance-api.conf": _glance(cloud),
        "placement/placement.conf": _placement(cloud),
        "nova/nova.conf": _nova(cloud),
        "neutron/neutron.conf": _neutron(cloud),
        "cinder/cinder.conf": _cinder(cloud),
    }
    for host in HYPERVISORS:
        files[f"nova/{host}.conf"] = {"DEFAULT": {"host": host, "state_path": cloud.var / host}}
    for name, sections in files.items():
        path = cloud.etc / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(rendered(sections))
    installed = cloud.venv / "etc"
    paste = "glance/glance-api-paste.ini"
    (cloud.etc / paste).write_text((installed / paste).read_text())
    (cloud.etc / "cinder" / "shares").write_text(f"{SHARE}\n")
    rootwrap = (installed / "cinder" / "rootwrap.conf").read_text()
    filters, programs = installed / "cinder" / "rootwrap.d", f"{cloud.venv}/bin,/usr/sbin,/usr/bin"
    rootwrap = re.sub(r"(?m)^filters_path=.*", f"filters_path={filters}", rootwrap)
    rootwrap = re.sub(r"(?m)^exec_dirs=.*", f"exec_dirs={programs},/sbin,/bin", rootwrap)
    (cloud.etc / "cinder" / "rootwrap.conf").write_text(rootwrap)


def rendered(sections: Sections) -> str:
    lines = []
    for name, options in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value}" for key, value in options.items()), ""]
    return "\n".join(lines)


def clouds_yaml(cloud: Cloud) -> str:
    """Logins for clients. `secaplane` manages a domain; `secaplane-project` reads in a project."""
    plugin = {"username": PLUGIN_USER, "user_domain_name": PLUGIN_DOMAIN}
    scopes = {
        "admin": {
            "username": "admin",
            "user_domain_id": "default",
            "project_name": "admin",
            "project_domain_id": "default",
        },
        "secaplane": {**plugin, "domain_name": PLUGIN_DOMAIN},
        "secaplane-project": {
            **plugin,
            "project_name": PLUGIN_PROJECT,
            "project_domain_name": PLUGIN_DOMAIN,
        },
    }
    lines = ["clouds:"]
    for name, scope in scopes.items():
        login = {"auth_url": cloud.keystone, "password": cloud.password, **scope}
        lines += [f"  {name}:", f"    region_name: {REGION}", "    auth:"]
        lines += [f"      {key}: {value}" for key, value in login.items()]
    return "\n".join([*lines, ""])


def mount_point(cloud: Cloud) -> Path:
    """The folder where cinder's NFS driver mounts the share, named as it names it."""
    digest = md5(SHARE.encode(), usedforsecurity=False).hexdigest()
    return cloud.var / "cinder" / "mnt" / digest


def database_url(cloud: Cloud, database: str) -> str:
    server = f"{DATABASE_USER}:{cloud.password}@{HOST}:{cloud.ports['mariadb']}"
    return f"mysql+pymysql://{server}/{database}?charset=utf8"


# --- shared sections


def _database(cloud: Cloud, name: str) -> Options:
    return {"connection": database_url(cloud, name), "max_pool_size": 8}


def _messages(cloud: Cloud) -> Options:
    server = f"{DATABASE_USER}:{cloud.password}@{HOST}:{cloud.ports['rabbitmq']}"
    return {"transport_url": f"rabbit://{server}/"}


def _login(cloud: Cloud, user: str) -> Options:
    return {
        "auth_url": cloud.keystone,
        "auth_type": "password",
        "username": user,
        "password": cloud.password,
        "project_name": "service",
        "user_domain_id": "default",
        "project_domain_id": "default",
    }


def _client(cloud: Cloud, user: str) -> Options:
    return {**_login(cloud, user), "region_name": REGION}


def _requests(cloud: Cloud, user: str) -> Sections:
    """Checks of tokens and permissions, with the new defaults of the policies."""
    return {
        "keystone_authtoken": {
            **_login(cloud, user),
            "www_authenticate_uri": cloud.keystone,
            "service_token_roles": "service",
            "service_token_roles_required": "true",
        },
        "oslo_policy": {"enforce_scope": "true", "enforce_new_defaults": "true"},
        "oslo_concurrency": {"lock_path": cloud.var / "lock"},
    }


# --- one function for each service


def _keystone(cloud: Cloud) -> Sections:
    return {
        "database": _database(cloud, "keystone"),
        "token": {"provider": "fernet"},
        "fernet_tokens": {"key_repository": cloud.var / "keystone" / "fernet"},
        "credential": {"key_repository": cloud.var / "keystone" / "credential"},
        # the cheapest hash, because tests log in often
        "identity": {"password_hash_algorithm": "bcrypt", "password_hash_rounds": 4},
    }


def _glance(cloud: Cloud) -> Sections:
    folders = cloud.var / "glance"
    return {
        "DEFAULT": {
            "enabled_backends": "file:file",
            "enabled_import_methods": "[glance-direct,web-download]",
            "worker_self_reference_url": cloud.url("glance"),
        },
        "database": _database(cloud, "glance"),
        "glance_store": {"default_backend": "file"},
        "file": {"filesystem_store_datadir": folders / "images"},
        "os_glance_staging_store": {"filesystem_store_datadir": folders / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": folders / "tasks"},
        "paste_deploy": {"flavor": "keystone"},
        **_requests(cloud, "glance"),
    }


def _placement(cloud: Cloud) -> Sections:
    return {
        "placement_database": _database(cloud, "placement"),
        "api": {"auth_strategy": "keystone"},
        **_requests(cloud, "placement"),
    }


def _nova(cloud: Cloud) -> Sections:
    client = _client(cloud, "nova")
    return {
        "DEFAULT": {
            **_messages(cloud),
            "my_ip": HOST,
            "state_path": cloud.var / "nova",
            "compute_driver": "fake.FakeDriverWithCaching",
            # no agent tells nova that a port is plugged
            "vif_plugging_is_fatal": "false",
            "vif_plugging_timeout": 0,
            "default_availability_zone": ZONE,
            "allow_resize_to_same_host": "true",
            # nothing under way is worth a wait when the cloud is stopped
            "graceful_shutdown_timeout": 3,
            "manager_shutdown_timeout": 0,
        },
        "api_database": _database(cloud, "nova_api"),
        "database": _database(cloud, "nova"),
        "wsgi": {"api_paste_config": cloud.venv / "etc" / "nova" / "api-paste.ini"},
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1, "discover_hosts_in_cells_interval": 3},
        "glance": {"api_servers": cloud.url("glance"), **client},
        "placement": client,
        "neutron": client,
        "cinder": {"catalog_info": "volumev3::publicURL", **client},
        "service_user": {"send_service_user_token": "true", **client},
        "keystone": client,
        "vnc": {"enabled": "false"},
        **_requests(cloud, "nova"),
    }


def _neutron(cloud: Cloud) -> Sections:
    client = _client(cloud, "neutron")
    return {
        "DEFAULT": {
            **_messages(cloud),
            "core_plugin": "ml2",
            "service_plugins": "router,qos",  # trunk refuses a plugin without agents
            "state_path": cloud.var / "neutron",
            "api_paste_config": cloud.venv / "etc" / "neutron" / "api-paste.ini",
        },
        "database": _database(cloud, "neutron"),
        "nova": client,
        "placement": client,
        "ml2": {
            "type_drivers": "local,flat,vlan,geneve",
            "tenant_network_types": "geneve",
            "mechanism_drivers": MECHANISM,
            "extension_drivers": "port_security,qos",
        },
        "ml2_type_flat": {"flat_networks": "public"},
        "ml2_type_geneve": {"vni_ranges": "1:65535", "max_header_size": 38},
        **_requests(cloud, "neutron"),
    }


def _cinder(cloud: Cloud) -> Sections:
    """The driver for NFS, on a folder: real sparse files, real conversion of images."""
    client, state = _client(cloud, "cinder"), cloud.var / "cinder"
    installed = cloud.venv / "etc" / "cinder"
    return {
        "DEFAULT": {
            **_messages(cloud),
            "my_ip": HOST,
            "host": "cinder-host-1",
            "state_path": state,
            "auth_strategy": "keystone",
            "osapi_volume_listen": HOST,
            "api_paste_config": installed / "api-paste.ini",
            "resource_query_filters_file": installed / "resource_filters.json",
            "enabled_backends": BACKEND,
            "default_volume_type": "standard",
            "storage_availability_zone": ZONE,
            "glance_api_servers": cloud.url("glance"),
            "rootwrap_config": cloud.etc / "cinder" / "rootwrap.conf",
        },
        BACKEND: {
            "volume_backend_name": BACKEND,
            "volume_driver": "cinder.volume.drivers.nfs.NfsDriver",
            "nfs_shares_config": cloud.etc / "cinder" / "shares",
            "nfs_mount_point_base": mount_point(cloud).parent,
            "nfs_sparsed_volumes": "true",
            "nfs_snapshot_support": "true",
            "nas_secure_file_operations": "false",
            "nas_secure_file_permissions": "false",
        },
        "database": _database(cloud, "cinder"),
        "nova": client,
        "service_user": {"send_service_user_token": "true", **client},
        **_requests(cloud, "cinder"),
    }
