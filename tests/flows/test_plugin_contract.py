"""The contract suite of plugins: the simulated cloud and the example pass it, broken ones fail."""

import asyncio
import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from secaplane.cli import main
from secaplane.cli.config import read
from secaplane.cli.processes.reconcilers import configured_plugin
from secaplane.cli.settings import BadConfig
from secaplane.model.shape import Resource
from secaplane.plugins import contract
from secaplane.plugins.plugin import Bound, CatalogueEntry, Fence, Outcome, Ready
from secaplane.plugins.simulated import SimulatedPlugin
from tests.flows.simulated_site import TOKEN, Site, running

EXAMPLE = Path(__file__).parents[2] / "examples" / "folder_cloud.py"
EACH_CHECK = pytest.mark.parametrize("check", contract.CHECKS, ids=contract.name)


@contextmanager
def simulated(file: Path, **faults: Any) -> Iterator[Site]:
    """A simulated cloud with an event loop and a thread of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    sites: list[Site] = []

    async def serve() -> None:
        async with running(file, faults=faults) as site:
            sites.append(site)
            ready.set()
            await stop.wait()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield sites[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


def example() -> Any:
    spec = importlib.util.spec_from_file_location("folder_cloud", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@EACH_CHECK
def test_the_simulated_cloud_keeps_the_contract(check: contract.Check, tmp_path: Path) -> None:
    with simulated(tmp_path / "cloud.db", delay_s=0.05) as site:

        async def objects(uid: str) -> int:
            return sum(thing.uid == uid for thing in await site.things())

        subject = contract.Subject(lambda: SimulatedPlugin(site.url, site.token), objects=objects)
        contract.run(check, subject)


@EACH_CHECK
def test_the_example_keeps_the_contract(check: contract.Check, tmp_path: Path) -> None:
    contract.run(check, contract.Subject(lambda: example().connect({"folder": str(tmp_path)})))


def test_the_example_has_at_most_sixty_lines() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 60


# --- the suite finds what is broken


class Broken:
    """The example, with one defect."""

    def __init__(self, folder: Path, **replaced: Any) -> None:
        self._cloud = example().FolderCloud(folder)
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(self._cloud, name)


async def _ensure_anything(resource: Resource, bound: Bound, fence: Fence) -> Outcome:
    return Ready({})


async def _remove_nothing(resource: Resource, fence: Fence) -> Outcome:
    return Ready({})


async def _raise(resource: Resource, bound: Bound, fence: Fence) -> Outcome:
    raise OSError("no route")


async def _offer_an_instance() -> list[CatalogueEntry]:
    return [CatalogueEntry("instance", "i", {})]


@pytest.mark.parametrize(
    ("check", "replaced", "complaint"),
    [
        (contract.an_older_fence_is_refused, {"ensure": _ensure_anything}, "ensure accepted"),
        (contract.nothing_is_made_for_a_removed_uid, {"remove": _remove_nothing}, "expected Term"),
        (contract.asked_twice_is_done_once, {"remove": _remove_nothing}, "expected Absent"),
        (contract.asked_twice_is_done_once, {"ensure": _raise}, "OSError: no route"),
        (
            contract.observe_equals_the_reported_status,
            {"ensure": _ensure_anything},
            "observe answered",
        ),
        (
            contract.catalogue_entries_match_their_kinds,
            {"catalogue": _offer_an_instance},
            "instance i: not a kind that a cloud can offer",
        ),
    ],
)
def test_a_broken_plugin_fails_the_check(
    tmp_path: Path, check: contract.Check, replaced: dict[str, Any], complaint: str
) -> None:
    subject = contract.Subject(
        lambda: Broken(tmp_path, **replaced), kind="workspace", ready_s_max=5
    )
    with pytest.raises(contract.ContractBroken, match=complaint):
        contract.run(check, subject)


def test_a_cloud_that_compares_no_fences_is_not_asked_to(tmp_path: Path) -> None:
    class Careless(example().FolderCloud):  # type: ignore[misc]
        compares_fences = False

    async def alone() -> None:
        subject = contract.Subject(lambda: Careless(tmp_path))
        with pytest.raises(contract.NotApplicable):
            await contract.run_check(contract.an_older_fence_is_refused, subject)

    asyncio.run(alone())


# --- the command, and the configuration


def test_the_command_runs_every_check_against_the_configured_cloud(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated(tmp_path / "cloud.db") as site:
        config = tmp_path / "secaplane.toml"
        config.write_text(
            f'[cloud]\ntoken = "{site.token}"\n[cloud.settings]\nurl = "{site.url}"\n'
        )
        assert main.main(["plugin", "check", "simulated", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{contract.name(each).replace('_', ' ')}: ok" for each in contract.CHECKS]


def test_the_command_fails_when_the_cloud_does_not_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "secaplane.toml"
    config.write_text(f'[cloud]\nurl = "http://127.0.0.1:9"\ntoken = "{TOKEN}"\n')
    assert main.main(["plugin", "check", "simulated", "--config", str(config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(contract.CHECKS)
    assert all(": FAILED, the plugin raised CloudUnavailable" in line for line in lines)


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ('[cloud]\nplugin = "cirrus"', r"cloud.plugin: plugin cirrus is not installed; installed"),
        ('[cloud.settings]\nport = "x"', "plugin simulated refuses its settings: .*`port`"),
    ],
)
def test_an_unusable_plugin_is_one_line(tmp_path: Path, written: str, complaint: str) -> None:
    config = tmp_path / "secaplane.toml"
    config.write_text(written)
    with pytest.raises(BadConfig, match=complaint) as refused:
        configured_plugin(read(config, {}))
    assert "\n" not in str(refused.value)


def test_variables_set_settings_of_the_plugin(tmp_path: Path) -> None:
    config = tmp_path / "secaplane.toml"
    config.write_text('[cloud]\nplugin = "cirrus"\n[cloud.settings]\nregion = "r"\ndeep = [1]\n')
    cloud = read(config, {"SECAPLANE_CLOUD_SETTINGS_API_PASSWORD": "secret"}).cloud
    assert (cloud.plugin, cloud.plugin_settings()) == (
        "cirrus",
        {"region": "r", "deep": [1], "api_password": "secret"},
    )


def test_the_simulated_plugin_knows_address_and_token_of_its_process(tmp_path: Path) -> None:
    kept = tmp_path / "token"
    kept.write_text("a token from a file\n")
    address = {"SECAPLANE_CLOUD_URL": "https://cloud:8090"}
    for variable, value, token in (
        ("TOKEN", "a token as a variable", "a token as a variable"),
        ("TOKEN_FILE", str(kept), "a token from a file"),
    ):
        cloud = read(None, address | {f"SECAPLANE_CLOUD_{variable}": value}).cloud
        known = {"url": "https://cloud:8090", "token": token, "ca": "/ca.crt"}
        assert cloud.plugin_settings("/ca.crt") == known
    assert msgspec.structs.replace(cloud, plugin="x").plugin_settings() == {}
