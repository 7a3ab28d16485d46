"""One whole house for all flows, one caller for each test, and a name that nobody else uses."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from secaplane.cli.config import Config
from secaplane.eventlog.jetstream import JetStreamLog
from secaplane.eventlog.streams import Streams
from tests.flows.client import Client, client_of
from tests.flows.crashing import Scene, scene_of
from tests.flows.dev_house import DevHouse, Said, configured, dev
from tests.flows.planning import prepare
from tests.servers import STREAM, connected
from tests.stand import Stand, kept

_number = count(1)


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevHouse]:
    """Started once, as a person would start it."""
    arguments = ("--ephemeral", "--port", "0", "--json")
    with dev(tmp_path_factory.mktemp("house"), *arguments) as started:
        yield started


@pytest.fixture
def operator(client: Client, said: Said) -> Client:
    """Whom the configuration names."""
    return client.by(said.operator_token)


@pytest.fixture
def tenant(workspace: str) -> str:
    """The name of one that no other test knows."""
    return f"t-{workspace}"


@pytest.fixture(scope="module")
def stand() -> Iterator[Stand]:
    """A house that may be shaken, for one file of flows."""
    with kept(Config()) as made:
        yield made


@pytest.fixture
async def scene(stand: Stand) -> AsyncIterator[Scene]:
    async with scene_of(stand) as made:
        yield made


OTHER = """
[site]
region = "eu-2"
refusals = "secatest"
extensions = ["billing"]

[cloud]
catalogue = "catalogue.toml"
"""
CATALOGUE = """
zones = ["z1"]

[[storage-sku]]
name = "tiny"
spec = { iops = 1, type = "local-durable", minVolumeSize = 1 }

[[instance-sku]]
name = "tiny"
spec = { vCPU = 1, ram = 1 }

[[image]]
name = "debian"
spec = { blockStorageRef = { resource = "block-storages/debian" }, cpuArchitecture = "amd64" }
"""


@pytest.fixture(scope="session")
def other_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevHouse]:
    """One with a configuration: another region, another dialect, a catalogue of its own."""
    place = tmp_path_factory.mktemp("other")
    (place / "catalogue.toml").write_text(CATALOGUE)
    settings = OTHER.replace("catalogue.toml", str(place / "catalogue.toml"))
    with configured(place, settings) as started:
        yield started


@pytest.fixture
async def secatest(other_house: DevHouse) -> AsyncIterator[Client]:
    """The administrator of the house that speaks the dialect of the conformance runner."""
    async with client_of(other_house.said.url, other_house.said.token) as caller:
        yield caller


@pytest.fixture
def said(house: DevHouse) -> Said:
    return house.said


@pytest.fixture(scope="session")
def peopled(house: DevHouse) -> Said:
    """The same house, with one resource of each kind in it that others can point to or lie in."""

    async def people() -> None:
        async with client_of(house.said.url, house.said.token) as caller:
            await prepare(caller)

    with ThreadPoolExecutor(1) as thread:  # whose loop is nobody else's
        thread.submit(lambda: asyncio.run(people())).result()
    return house.said


@pytest.fixture
async def client(said: Said) -> AsyncIterator[Client]:
    """The administrator of the tenant."""
    async with client_of(said.url, said.token) as caller:
        yield caller


@pytest.fixture
def workspace() -> str:
    """A name for a workspace of this test alone; the workspace is not there yet."""
    return f"w{next(_number)}"


@pytest.fixture
async def log(said: Said) -> AsyncIterator[JetStreamLog]:
    """What the house wrote, read as the house reads it."""
    async with connected(said.nats) as nats:
        yield JetStreamLog(nats, streams=Streams(STREAM), region=said.region)
