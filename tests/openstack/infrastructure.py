"""Debian's packages, the database, the message broker, and what cinder and neutron expect to be
installed on the machine."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

from tests.openstack import processes
from tests.openstack.configuration import DATABASE_USER, DATABASES, MECHANISM, mount_point
from tests.openstack.layout import HOST, Cloud, Failed

PACKAGES = {
    "mariadb-server": "/usr/sbin/mariadbd",
    "rabbitmq-server": "/usr/lib/rabbitmq/bin/rabbitmq-server",
    "qemu-utils": "/usr/bin/qemu-img",
    "nfs-common": "/sbin/mount.nfs",
}
"""With a program of each, which tells that it is installed."""
RABBITMQ = PACKAGES["rabbitmq-server"]
APT_S_MAX = 900
LISTENING_S_MAX = 120.0
MOUNTS = Path("/proc/mounts")


class Unavailable(Exception):
    """This machine cannot run the cloud; nothing was started."""


# --- the machine


def install_packages() -> None:
    """Installs what is missing.

    Raises:
        Unavailable: not as root, or without Debian's packages.
    """
    if os.getuid() != 0:
        raise Unavailable("it needs root, for a bind mount and for Debian's packages")
    missing = [name for name, program in PACKAGES.items() if not Path(program).exists()]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(f"{', '.join(missing)} are missing, and there is no apt-get")
    # RUNLEVEL keeps the packages from starting servers of the machine
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    for argv in (["apt-get", "update"], install):
        try:
            subprocess.run(
                argv, env=env, check=True, capture_output=True, text=True, timeout=APT_S_MAX
            )
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            reason = (str(error.stderr or "").strip() or str(error)).splitlines()[-1]
            raise Unavailable(f"{', '.join(missing)} cannot be installed: {reason}") from error


# --- database and message broker


def start_database(cloud: Cloud) -> None:
    """Starts MariaDB, tuned for little memory and for data that is thrown away."""
    data, socket_path = cloud.var / "mysql", cloud.var / "mysql.sock"
    install = ["mariadb-install-db", "--no-defaults", "--user=root", "--skip-test-db"]
    processes.run(cloud, "mariadb-install", [*install, f"--datadir={data}"])
    server = [
        *("mariadbd", "--no-defaults", "--user=root", f"--datadir={data}"),
        *(f"--socket={socket_path}", f"--pid-file={cloud.var / 'mysql.pid'}"),
        *(f"--bind-address={HOST}", f"--port={cloud.ports['mariadb']}", "--skip-name-resolve"),
        *("--max-connections=500", "--performance-schema=OFF", "--skip-log-bin"),
        *("--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"),
        *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"),
        "--character-set-server=utf8mb3",
    ]
    _started_on(cloud, "mariadb", server, cloud.ports["mariadb"])
    create = cloud.var / "databases.sql"
    create.write_text("".join(_database(each, cloud.password) for each in DATABASES))
    client = ["mariadb", "--no-defaults", "--user=root", f"--socket={socket_path}"]
    processes.run(cloud, "databases", client, stdin=create)


def _database(name: str, password: str) -> str:
    user = f"'{DATABASE_USER}'@'{HOST}'"
    return f"create database {name}; grant all on {name}.* to {user} identified by '{password}';\n"


def start_broker(cloud: Cloud) -> "subprocess.Popen[bytes]":
    """Starts RabbitMQ without waiting for it: only the services need it."""
    folder = cloud.var / "rabbitmq"
    folder.mkdir()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = {HOST}:{cloud.ports['rabbitmq']}\n"
        f"default_user = {DATABASE_USER}\n"
        f"default_pass = {cloud.password}\n"
        "vm_memory_high_watermark.absolute = 512MiB\n"
    )
    (folder / "plugins").write_text("[].\n")
    epmd_port = cloud.ports["epmd"]
    # in the foreground and recorded: RabbitMQ would leave a daemon that outlives it
    _started_on(cloud, "epmd", ["epmd", "-address", HOST, "-port", str(epmd_port)], epmd_port)
    return processes.start(cloud, "rabbitmq", [RABBITMQ], env=_broker_environment(cloud, folder))


def _broker_environment(cloud: Cloud, folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),  # of the cookie
        "ERL_EPMD_PORT": str(cloud.ports["epmd"]),
        "ERL_EPMD_ADDRESS": HOST,
        "RABBITMQ_NODENAME": "secaplane@localhost",
        "RABBITMQ_DIST_PORT": str(cloud.ports["rabbitmq-nodes"]),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "nodes"),
        "RABBITMQ_LOG_BASE": str(cloud.log / "rabbitmq"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        # one thread that sleeps when idle; nodes would speak to each other on all interfaces
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
        ),
    }


def wait_for_broker(cloud: Cloud, process: "subprocess.Popen[bytes]") -> None:
    port = cloud.ports["rabbitmq"]
    processes.wait_until(cloud, "rabbitmq", process, lambda: _listens(port), LISTENING_S_MAX)


def _started_on(cloud: Cloud, name: str, argv: list[str], port: int) -> None:
    process = processes.start(cloud, name, argv)
    processes.wait_until(cloud, name, process, lambda: _listens(port), LISTENING_S_MAX)


def _listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


# --- what services expect on the machine


def prepare_folders(cloud: Cloud) -> None:
    """Makes folders of state, the mount that cinder looks for, a `sudo`, and neutron's plugin."""
    state = ("keystone", "lock", "nova", "neutron", "cinder/share")
    for name in (*state, *(f"glance/{each}" for each in ("images", "staging", "tasks"))):
        (cloud.var / name).mkdir(parents=True)
    _mount_share(cloud)
    sudo = cloud.programs / "sudo"  # cinder calls it also as root, and it may be missing
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    _install_mechanism(cloud)


def _mount_share(cloud: Cloud) -> None:
    point = mount_point(cloud)
    point.mkdir(parents=True)
    argv = ["mount", "--bind", str(cloud.var / "cinder" / "share"), str(point)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise Failed(f"{' '.join(argv)}: {done.stderr.strip()}")


def unmount(cloud: Cloud) -> list[str]:
    """Unmounts everything below the folder. The mounts that could not be removed."""
    for point in reversed(_mounted(cloud)):
        subprocess.run(["umount", point], capture_output=True, timeout=60)
    return _mounted(cloud)


def _mounted(cloud: Cloud) -> list[str]:
    points = (line.split()[1] for line in MOUNTS.read_text().splitlines())
    # the kernel writes a space in a path as \040
    plain = (point.encode().decode("unicode_escape") for point in points)
    return [point for point in plain if point.startswith(f"{cloud.var}/")]


def _install_mechanism(cloud: Cloud) -> None:
    """Neutron finds its mechanism drivers by their entry points."""
    source = Path(__file__).with_name("noop_ml2.py")
    (cloud.library / source.name).write_text(source.read_text())
    described = cloud.library / "secaplane_noop_ml2-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: secaplane-noop-ml2\nVersion: 1\n"
    )
    (described / "entry_points.txt").write_text(
        f"[neutron.ml2.mechanism_drivers]\n{MECHANISM} = {source.stem}:NoopMechanismDriver\n"
    )
