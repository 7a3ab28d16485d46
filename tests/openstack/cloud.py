"""Starts and stops an OpenStack on the loopback: `python -m tests.openstack.cloud up|down|status`,
and says where its clouds.yaml is: `... where`.

Ends with 0 if the cloud runs (or is stopped), 1 if something failed, and 69 if this machine cannot
run it, so that nothing was started.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import FrameType

from tests.openstack import configuration, infrastructure, processes, services
from tests.openstack.infrastructure import Unavailable
from tests.openstack.layout import Cloud, Failed, cleared, default_folder, found, made
from tests.openstack.processes import Argv

UNAVAILABLE = 69
"""As in sysexits.h."""
INTERRUPTED = 130
ROOT = Path(__file__).parents[2]
SEEDING = Path(__file__).with_name("seeding.py")
SCHEMAS_AT_ONCE = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.openstack.cloud", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "status", "where"])
    parser.add_argument("--state", type=Path, default=default_folder(), help="folder of the cloud")
    parser.add_argument(
        "--venv", type=Path, default=ROOT / ".venv-openstack", help="environment of OpenStack"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _stopped)
    folder: Path = arguments.state.expanduser().absolute()
    try:
        if arguments.command == "up":
            up(folder, arguments.venv.absolute())
        elif arguments.command == "down":
            down(folder)
        elif arguments.command == "where":
            print(where(folder))
        else:
            return status(folder)
    except Unavailable as error:
        print(f"OpenStack cannot be run here, nothing was started: {error}", file=sys.stderr)
        return UNAVAILABLE
    except Failed as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _stopped(number: int, frame: FrameType | None) -> None:
    """Ends as after Ctrl-C: what was started is stopped on the way out."""
    raise KeyboardInterrupt


# --- up


def up(folder: Path, venv: Path) -> None:
    """Starts a new cloud, unless one runs already.

    Raises:
        Unavailable: this machine cannot run it.
        Failed: a service did not start; everything is stopped again, the logs stay.
    """
    earlier = found(folder)
    if earlier is not None and _runs(earlier):
        print(f"OpenStack runs already; its clouds.yaml: {earlier.clouds_yaml}")
        return
    infrastructure.install_packages()
    if not (venv / "bin" / "nova-compute").exists():
        raise Failed(f"{venv} holds no OpenStack: make openstack installs it")
    if earlier is not None:
        down(folder)
    cloud = made(folder, venv)
    try:
        _start(cloud)
    except BaseException:
        print("stopping what was started", file=sys.stderr)
        down(folder)
        raise
    print(f"OpenStack runs; its clouds.yaml: {cloud.clouds_yaml}")


def _runs(cloud: Cloud) -> bool:
    records = processes.records(cloud)
    return cloud.clouds_yaml.exists() and bool(records) and all(map(processes.runs, records))


def _start(cloud: Cloud) -> None:
    began = time.monotonic()

    def say(step: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {step}", flush=True)

    infrastructure.prepare_folders(cloud)
    configuration.written(cloud)
    broker = infrastructure.start_broker(cloud)
    infrastructure.start_database(cloud)
    say("MariaDB answers")
    _prepare(cloud, say)
    infrastructure.wait_for_broker(cloud, broker)
    services.start_rest(cloud)
    say("all APIs answer")
    _seed(cloud, "resources")
    _all_run(cloud)
    cloud.clouds_yaml.write_text(
        configuration.clouds_yaml(cloud)
    )  # last: with it the cloud is whole
    say("flavors, volume types, image and network are seeded, two hypervisors are up")


def _prepare(cloud: Cloud, say: Callable[[str], None]) -> None:
    """Makes all schemas, two at once; fills keystone as soon as it answers."""
    with ThreadPoolExecutor(SCHEMAS_AT_ONCE) as pool:
        keystone, *others = (
            pool.submit(prepare, cloud)
            for prepare in (
                services.prepare_keystone,
                services.prepare_neutron,
                services.prepare_nova,
                services.prepare_small,
            )
        )
        try:
            keystone.result()
            services.start_keystone(cloud)
            say("keystone answers")
            _seed(cloud, "catalogue")
            _all_ended(others)
            say("all schemas are made")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.stop(cloud)  # their commands, or the pool would wait for them
            raise


def _all_ended(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result()


def _seed(cloud: Cloud, part: str) -> None:
    argv: Argv = [cloud.venv / "bin" / "python", "-P", SEEDING, part, cloud.folder]
    try:
        processes.run(cloud, f"seeding-{part}", argv)
    except Failed:
        _all_run(cloud)
        raise


def _all_run(cloud: Cloud) -> None:
    for record in processes.records(cloud):
        if not record.name.startswith("seeding") and not processes.runs(record):
            raise processes.failed(cloud, record.name, "ended")


# --- down and status


def down(folder: Path) -> None:
    """Stops the cloud and removes all of it but the logs.

    Raises:
        Failed: a process or a mount is left.
    """
    cloud = found(folder)
    if cloud is None:
        print(f"no OpenStack in {folder}")
        return
    remaining = processes.stop(cloud)
    if remaining:
        raise Failed(f"these processes still run: {', '.join(map(str, remaining))}")
    mounts = infrastructure.unmount(cloud)
    if mounts:
        raise Failed(f"these are still mounted: {', '.join(mounts)}")
    cleared(cloud)
    print(f"OpenStack is stopped; its logs: {cloud.log}")


def where(folder: Path) -> Path:
    """The clouds.yaml of the cloud.

    Raises:
        Failed: there is none.
    """
    cloud = found(folder)
    if cloud is None:
        raise Failed(f"no OpenStack in {folder}")
    return cloud.clouds_yaml


def status(folder: Path) -> int:
    """Prints a line for each process. 0 if all run, 1 if not."""
    cloud = found(folder)
    if cloud is None:
        print(f"no OpenStack in {folder}")
        return 1
    total = 0
    for record in processes.records(cloud):
        size = processes.resident_mib(record)
        total += size
        state = "runs" if processes.runs(record) else "ENDED"
        print(f"{record.name:28} {record.id:8} {state:6} {size:5} MiB")
    print(f"{total} MiB; its clouds.yaml: {cloud.clouds_yaml}")
    return 0 if _runs(cloud) else 1


if __name__ == "__main__":
    sys.exit(main())
