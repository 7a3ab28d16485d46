"""`secaplane dev`: what it promises when it starts, and what is left when it ends."""

import re
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from tests.flows.client import VOLUME, Client, at, client_of
from tests.flows.dev_house import (
    DevHouse,
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


# --- what it says


def test_it_says_what_it_promised_in_one_line(house: DevHouse) -> None:
    said = msgspec.json.decode(house.line)
    assert tuple(said) == KEYS
    assert tuple(said["pids"]) == PIDS
    assert all(process(pid).alive for pid in said["pids"].values())
    assert len(set(said["pids"].values())) == len(PIDS)
    assert house.said.region == "eu-1"
    assert house.said.tenant == "demo"


async def test_a_configuration_is_applied(other_house: DevHouse, secatest: Client) -> None:
    assert other_house.said.region == "eu-2"
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
    """It belongs to the shared tenant and is active without a volume."""
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
    """What a shell prints to whoever pastes this."""
    return subprocess.run(
        ["bash", "-euc", lines],
        capture_output=True,
        text=True,
        timeout=WAIT_S_MAX,
        check=True,
    ).stdout


async def test_the_printed_curl_works_and_data_outlive_a_restart(tmp_path: Path) -> None:
    place = tmp_path / "a folder" / "inside"
    arguments = ("--folder", str(place), "--port", "0")
    with dev(tmp_path, *arguments) as first:
        text = first.line + first.more(until="Ctrl-C stops everything.")
        made = msgspec.json.decode(pasted(text[text.index("\ncurl") : text.index("Ctrl-C")]))
        assert made["metadata"]["ref"] == "seca.workspace/v1/tenants/demo/workspaces/web"
        (token,) = re.findall(r"export TOKEN=(\S+)", text)
        (url,) = re.findall(r"stands at (\S+),", text)
        disk = at("block-storage", "disk", workspace="web")
        async with client_of(url, token) as client:
            before = await client.made(disk, VOLUME)
    with dev(tmp_path, *arguments, "--json") as second:
        async with client_of(second.said.url, token) as client:
            after = await client.get(disk)
            assert after.json == before.json
            assert after.headers["ETag"] == before.headers["ETag"]
            assert (await client.put(disk, VOLUME)).json["metadata"]["resourceVersion"] == 2
            await client.active(disk)
    assert (place / "issuer.json").stat().st_mode & 0o077 == 0
    assert (place / "passwords.json").stat().st_mode & 0o077 == 0
    assert (place / "keyring.json").stat().st_mode & 0o077 == 0
    assert (place / "config.json").stat().st_mode & 0o077 == 0


# --- how it ends


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_every_process_and_takes_the_folder_away(
    tmp_path: Path, number: signal.Signals
) -> None:
    with dev(tmp_path, *FRESH) as house:
        everybody = house.processes()
        assert len(everybody) > len(PIDS)
        assert house.end(number) == (0, "")
    assert left_of(everybody) == []
    assert list(tmp_path.glob("secaplane-*")) == []


def test_who_was_killed_before_leaves_nobody_behind(tmp_path: Path) -> None:
    with dev(tmp_path, *FRESH) as house:
        everybody = house.processes()
        for name in ("postgres", "nats", "serve", "cloud"):
            process(house.said.pids[name]).kill()
        assert house.end()[0] == 0
    assert left_of(everybody) == []
    assert list(tmp_path.glob("secaplane-*")) == []


@pytest.mark.parametrize("after_s", [0.0, 0.8])
def test_a_house_that_is_stopped_while_it_starts_leaves_nothing(
    tmp_path: Path, after_s: float
) -> None:
    supervisor = launched(tmp_path, *FRESH)
    eventually(lambda: list(tmp_path.glob("secaplane-*")) != [])
    time.sleep(after_s)
    everybody = family(supervisor.pid)
    supervisor.send_signal(signal.SIGTERM)
    supervisor.communicate(timeout=WAIT_S_MAX)
    assert left_of(everybody) == []
    assert list(tmp_path.glob("secaplane-*")) == []


async def test_who_is_killed_is_started_again_and_the_house_works_on(tmp_path: Path) -> None:
    """And when the supervisor itself is killed, nobody stays."""
    with dev(tmp_path, *FRESH) as house:
        async with client_of(house.said.url, house.said.token) as client:
            await client.made(at("workspace", "w"), {})
            for name in ("projector", "reconcilers", "serve", "cloud", "nats", "postgres"):
                process(house.said.pids[name]).kill()
                await client.back()
                disk = at("block-storage", f"after-{name}", workspace="w")
                await client.made(disk, VOLUME)
            found = await client.get(at("block-storage", workspace="w"))
            assert len(found.names) == len(PIDS)
        everybody = house.processes()
        assert len(everybody) > len(PIDS)
        house.supervisor.kill()
        house.supervisor.wait()
        assert left_of(everybody) == []


# --- what it refuses


def complaint(temporary: Path, *arguments: str) -> str:
    """The only line it says, when it cannot start."""
    before = set(temporary.glob("secaplane-*"))
    status, printed, errors = refused(temporary, *arguments)
    assert (status, printed) == (2, ""), errors
    assert set(temporary.glob("secaplane-*")) == before
    (line,) = errors.splitlines()
    assert line.startswith("secaplane: ")
    return line


def test_a_port_in_use_is_told_in_one_line(house: DevHouse, tmp_path: Path) -> None:
    port = house.said.url.rpartition(":")[2]
    line = complaint(tmp_path, "--ephemeral", "--json", "--port", port)
    assert line.endswith(f"cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_folder_in_use_is_told_in_one_line(house: DevHouse, tmp_path: Path) -> None:
    folder = str(house.folder)
    line = complaint(tmp_path, "--folder", folder, "--port", "0", "--json")
    assert line.endswith(f"{folder} is in use by another `secaplane dev`")
    assert all(process(pid).alive for pid in house.said.pids.values())


def test_a_folder_that_cannot_be_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = complaint(tmp_path, "--folder", str(tmp_path / "file"), "--json")
    assert str(tmp_path / "file") in line


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "No such file"),
        (b"[site", "xpected"),
        (b"\xff", "utf-8"),
        (b"[site]\nregoin = 'eu-1'", "regoin"),
        (b"[site]\nrefusals = 'soft'", "refusals"),
        (b"[dev]\ntenant = 'Not A Name'", "tenant"),
        (b"[[auth.issuers]]\nissuer = 'a'\nkeys = 'absent.json'\nprefix = 'a:'", "absent.json"),
    ],
    ids=str,
)
def test_a_bad_configuration_is_told_in_one_line(
    tmp_path: Path, written: bytes | None, said: str
) -> None:
    config = tmp_path / "site.toml"
    if written is not None:
        config.write_bytes(written)
    assert said in complaint(tmp_path, *FRESH, "--config", str(config))
