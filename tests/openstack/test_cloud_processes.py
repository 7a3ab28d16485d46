"""The bookkeeping of the test cloud, without OpenStack: folders, ports, processes by record."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.openstack import layout, processes
from tests.openstack.layout import HOST, Cloud, Failed

ENDS_S_MAX = 10.0
SLEEPS = [sys.executable, "-c", "import time; print('started', flush=True); time.sleep(600)"]
FORKS = [
    *(sys.executable, "-c"),
    "import subprocess, sys; subprocess.run(['sleep', '600'])",
]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = layout.made(tmp_path / "cloud", tmp_path / "venv")
    yield made
    processes.stop(made)


def test_a_stop_ends_a_process_with_its_children(cloud: Cloud) -> None:
    leader = processes.start(cloud, "forks", FORKS)
    processes.wait_until(cloud, "forks", leader, lambda: len(_members(cloud)) == 2, ENDS_S_MAX)
    assert processes.stop(cloud) == []
    assert _members(cloud) == []
    assert leader.wait(ENDS_S_MAX) != 0


def test_a_process_that_was_given_the_same_id_later_is_not_ended(cloud: Cloud) -> None:
    process = processes.start(cloud, "sleeps", SLEEPS)
    path = cloud.run / "sleeps.json"
    record = processes.records(cloud)[0]
    for other in (replace(record, started="1"), replace(record, boot="another")):
        path.write_text(json.dumps(vars(other)))
        assert _members(cloud) == []
        assert not processes.runs(other)
    path.write_text(json.dumps(vars(record)))
    assert processes.runs(record)
    assert processes.stop(cloud) == []
    process.wait(ENDS_S_MAX)


def test_a_process_that_ends_early_shows_the_end_of_its_log(cloud: Cloud) -> None:
    argv = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    process = processes.start(cloud, "fails", argv)
    with pytest.raises(Failed, match=r"(?s)fails ended with status 3; .*the reason"):
        processes.wait_until(cloud, "fails", process, lambda: False, ENDS_S_MAX)


def test_a_process_that_does_not_answer_shows_the_end_of_its_log(cloud: Cloud) -> None:
    process = processes.start(cloud, "silent", SLEEPS)
    with pytest.raises(Failed, match="silent does not answer after 1 s"):
        processes.wait_until(cloud, "silent", process, lambda: False, 1.0)
    processes.stop(cloud)
    process.wait(ENDS_S_MAX)


def test_a_command_that_fails_says_which(cloud: Cloud) -> None:
    with pytest.raises(Failed, match="refuses ended with status 1"):
        processes.run(cloud, "refuses", ["false"])
    processes.run(cloud, "agrees", ["true"])
    assert [each.name for each in processes.records(cloud)] == ["refuses"]


def test_a_taken_port_is_replaced_by_a_free_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        taken: int = listener.getsockname()[1]
        monkeypatch.setattr(layout, "PREFERRED_PORTS", {"keystone": taken})
        made = layout.made(tmp_path / "cloud", tmp_path)
    assert made.ports["keystone"] != taken


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "thesis.txt"
    kept.write_text("")
    with pytest.raises(Failed, match="is not empty"):
        layout.made(tmp_path, tmp_path)
    assert kept.exists()


def test_clearing_leaves_the_logs(cloud: Cloud) -> None:
    processes.run(cloud, "speaks", ["echo", "kept"])
    assert layout.found(cloud.folder) == cloud
    layout.cleared(cloud)
    assert layout.found(cloud.folder) is None
    assert [path.name for path in cloud.folder.iterdir()] == ["log"]
    assert processes.log_of(cloud, "speaks").read_text() == "kept\n"


def test_the_command_line_needs_nothing_of_the_product() -> None:
    """The system's Python runs it, without site packages."""
    argv = [sys.executable, "-I", "-S", "-c", "import sys; sys.path.insert(0, '.'); {}"]
    code = argv.pop().format("import tests.openstack.cloud")
    root = Path(__file__).parents[2]
    subprocess.run([*argv, code], cwd=root, check=True, timeout=60)


def _members(cloud: Cloud) -> list[int]:
    return [id for record in processes.records(cloud) for id in processes.members(record)]
