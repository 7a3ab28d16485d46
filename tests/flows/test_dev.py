"""`secaplane dev`: its output, restarts of its processes, and that nothing is left when it ends."""

import re
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from secaplane.cli.config import Config
from secaplane.cli.dev.plane import PROCESSES, DevPlane
from secaplane.cli.settings import TOKEN_LENGTH_MIN, CloudSettings
from tests.flows.client import VOLUME, Client, at, client_of
from tests.flows.dev_plane import (
    DevProcess,
    dev,
    eventually,
    family,
    launched,
    left_of,
    process,
    refused,
)

PIDS = ("nats", "postgres", "cloud", "serve", "projector", "reconcilers")
KEYS = ("url", "tenant", "region", "token", "operatorToken", "nats", "postgres", "pids")
FRESH = ("--ephemeral", "--port", "0", "--json")
WAIT_S_MAX = 30.0


# --- output


def test_json_is_one_line_with_the_documented_keys(plane: DevProcess) -> None:
    printed = msgspec.json.decode(plane.line)
    assert tuple(printed) == KEYS
    assert tuple(printed["pids"]) == PIDS
    assert all(process(pid).alive for pid in printed["pids"].values())
    assert len(set(printed["pids"].values())) == len(PIDS)
    assert plane.details.region == "eu-1"
    assert plane.details.tenant == "demo"


async def test_a_configuration_is_applied(other_plane: DevProcess, secatest: Client) -> None:
    assert other_plane.details.region == "eu-2"
    (region,) = (await secatest.get(at("region"))).json["items"]
    assert (region["metadata"]["name"], region["spec"]["availableZones"]) == ("eu-2", ["z1"])
    assert (await secatest.get(at("storage-sku"))).names == ["tiny"]
    assert (await secatest.get(at("network-sku"))).names == []
    known = await secatest.put(at("workspace", "w"), {"extensions": {"billing": "x"}})
    assert known.json["extensions"] == {"billing": "x"}
    assert known.json["metadata"]["region"] == "eu-2"


async def test_an_image_of_the_catalogue_is_the_source_of_a_volume_of_any_tenant(
    secatest: Client,
) -> None:
    """An image of the catalogue belongs to the shared tenant and is active without a volume."""
    await secatest.put(at("workspace", "images"), {"spec": {}})
    for name, image in (("short", "images/debian"), ("long", "tenants/seca/images/debian")):
        spec = {
            "sizeGB": 1,
            "skuRef": {"resource": "skus/tiny"},
            "sourceImageRef": {"resource": image},
        }
        disk = at("block-storage", name, workspace="images")
        assert (await secatest.put(disk, {"spec": spec})).status == 201
        await secatest.active(disk)


def pasted(lines: str) -> str:
    """The output of a shell that runs these lines."""
    return subprocess.run(
        ["bash", "-euc", lines],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    ).stdout


async def test_the_printed_curl_works_and_data_survive_a_restart(tmp_path: Path) -> None:
    place = tmp_path / "a folder" / "inside"
    arguments = ("--folder", str(place), "--port", "0")
    with dev(tmp_path, *arguments) as first:
        text = first.line + first.more(until="Ctrl-C stops everything.")
        created = msgspec.json.decode(pasted(text[text.index("\ncurl") : text.index("Ctrl-C")]))
        assert created["metadata"]["ref"] == "seca.workspace/v1/tenants/demo/workspaces/web"
        (token,) = re.findall(r"export TOKEN=(\S+)", text)
        (url,) = re.findall(r"ready at (\S+),", text)
        disk = at("block-storage", "disk", workspace="web")
        async with client_of(url, token) as client:
            before = await client.made(disk, VOLUME)
    with dev(tmp_path, *arguments, "--json") as second:
        async with client_of(second.details.url, token) as client:
            after = await client.get(disk)
            assert after.json == before.json
            assert after.headers["ETag"] == before.headers["ETag"]
            assert (await client.put(disk, VOLUME)).json["metadata"]["resourceVersion"] == 2
            await client.active(disk)
    assert (place / "issuer.json").stat().st_mode & 0o077 == 0
    assert (place / "passwords.json").stat().st_mode & 0o077 == 0
    assert (place / "keyring.json").stat().st_mode & 0o077 == 0
    assert (place / "config.json").stat().st_mode & 0o077 == 0


# --- end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_and_removes_the_folder(
    tmp_path: Path, number: signal.Signals
) -> None:
    with dev(tmp_path, *FRESH) as plane:
        processes = plane.processes()
        assert len(processes) > len(PIDS)
        assert plane.end(number) == (0, "")
    assert left_of(processes) == []
    assert list(tmp_path.glob("secaplane-*")) == []


def test_no_process_is_left_when_some_were_killed_before(tmp_path: Path) -> None:
    with dev(tmp_path, *FRESH) as plane:
        processes = plane.processes()
        for name in ("postgres", "nats", "serve", "cloud"):
            process(plane.details.pids[name]).kill()
        assert plane.end()[0] == 0
    assert left_of(processes) == []
    assert list(tmp_path.glob("secaplane-*")) == []


@pytest.mark.parametrize("after_s", [0.0, 0.8])
def test_a_signal_during_the_start_leaves_no_process_and_no_folder(
    tmp_path: Path, after_s: float
) -> None:
    supervisor = launched(tmp_path, *FRESH)
    eventually(lambda: list(tmp_path.glob("secaplane-*")) != [])
    time.sleep(after_s)
    processes = family(supervisor.pid)
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=WAIT_S_MAX)
    assert left_of(processes) == []
    assert list(tmp_path.glob("secaplane-*")) == []


async def test_killed_processes_are_restarted(tmp_path: Path) -> None:
    """And when the supervisor is killed, its children end."""
    with dev(tmp_path, *FRESH) as plane:
        async with client_of(plane.details.url, plane.details.token) as client:
            await client.made(at("workspace", "w"), {})
            for name in ("projector", "reconcilers", "serve", "cloud", "nats", "postgres"):
                process(plane.details.pids[name]).kill()
                await client.back()
                disk = at("block-storage", f"after-{name}", workspace="w")
                await client.made(disk, VOLUME)
            listed = await client.get(at("block-storage", workspace="w"))
            assert len(listed.names) == len(PIDS)
        processes = plane.processes()
        assert len(processes) > len(PIDS)
        plane.supervisor.kill()
        plane.supervisor.wait()
        assert left_of(processes) == []


# --- errors


def error_of(temporary: Path, *arguments: str) -> str:
    """The only line it prints when it cannot start."""
    before = set(temporary.glob("secaplane-*"))
    status, printed, errors = refused(temporary, *arguments)
    assert (status, printed) == (2, ""), errors
    assert set(temporary.glob("secaplane-*")) == before
    (line,) = errors.splitlines()
    assert line.startswith("secaplane: ")
    return line


def test_a_port_in_use_is_one_line(plane: DevProcess, tmp_path: Path) -> None:
    port = plane.details.url.rpartition(":")[2]
    line = error_of(tmp_path, "--ephemeral", "--json", "--port", port)
    assert line.endswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_folder_in_use_is_one_line(plane: DevProcess, tmp_path: Path) -> None:
    folder = str(plane.folder)
    line = error_of(tmp_path, "--folder", folder, "--port", "0", "--json")
    assert line.endswith(f"{folder} is in use by another `secaplane dev`")
    assert all(process(pid).alive for pid in plane.details.pids.values())


def test_a_folder_that_cannot_be_created_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = error_of(tmp_path, "--folder", str(tmp_path / "file"), "--json")
    assert str(tmp_path / "file") in line


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (None, "No such file"),
        (b"[site", "xpected"),
        (b"\xff", "utf-8"),
        (b"[site]\nregoin = 'eu-1'", "regoin"),
        (b"[site]\nrefusals = 'soft'", "refusals"),
        (b"[dev]\ntenant = 'Not A Name'", "tenant"),
        (
            b"[[auth.issuers]]\nissuer = 'a'\nkeys = 'absent.json'\nprefix = 'a:'\naudience = 's'",
            "absent.json",
        ),
        (b"[[auth.issuers]]\nissuer = 'a'\nkeys = 'absent.json'", "any_audience = true"),
    ],
    ids=str,
)
def test_a_wrong_configuration_is_one_line(
    tmp_path: Path, written: bytes | None, message: str
) -> None:
    config = tmp_path / "site.toml"
    if written is not None:
        config.write_bytes(written)
    assert message in error_of(tmp_path, *FRESH, "--config", str(config))


def test_the_simulated_cloud_is_started_only_for_its_plugin(tmp_path: Path) -> None:
    for plugin, expected in (("simulated", PROCESSES), ("cirrus", PROCESSES[1:])):
        config = Config(cloud=CloudSettings(plugin=plugin, settings={"region": "r"}))
        place = tmp_path / plugin
        place.mkdir()
        plane = DevPlane(config, place, 0, durable=False)
        assert plane.processes == expected
        assert plane.config.cloud.settings == {"region": "r"}
        assert len(plane.config.cloud.token) >= TOKEN_LENGTH_MIN
    assert (tmp_path / "simulated" / "cloud-token.json").stat().st_mode & 0o077 == 0
