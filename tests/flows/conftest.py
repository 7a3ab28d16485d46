"""One control plane for all flows; a caller and unused names for each test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from secaplane.cli.config import Config, read
from secaplane.eventlog.jetstream.log import JetStreamLog
from tests.flows.client import Client, client_of
from tests.flows.crashing import Scene, scene_of
from tests.flows.dev_plane import DevDetails, DevProcess, configured, dev
from tests.flows.planning import prepare
from tests.opened_log import opened_log
from tests.plane import RunningPlane, shared_plane
from tests.servers import connected

_number = count(1)


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    """Started once, by the command that a user runs."""
    arguments = ("--ephemeral", "--port", "0", "--json")
    with dev(tmp_path_factory.mktemp("plane"), *arguments) as started:
        yield started


@pytest.fixture
def operator(client: Client, details: DevDetails) -> Client:
    """An operator, named by the configuration."""
    return client.by(details.operator_token)


@pytest.fixture
def tenant(workspace: str) -> str:
    """An unused name of a tenant."""
    return f"t-{workspace}"


@pytest.fixture(scope="module")
def own_plane() -> Iterator[RunningPlane]:
    """A control plane whose processes may be killed, for the tests of one file."""
    with shared_plane(Config()) as made:
        yield made


@pytest.fixture
async def scene(own_plane: RunningPlane) -> AsyncIterator[Scene]:
    async with scene_of(own_plane) as made:
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
def other_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    """A control plane with another region, dialect and catalogue."""
    place = tmp_path_factory.mktemp("other")
    (place / "catalogue.toml").write_text(CATALOGUE)
    settings = OTHER.replace("catalogue.toml", str(place / "catalogue.toml"))
    with configured(place, settings) as started:
        yield started


@pytest.fixture
async def secatest(other_plane: DevProcess) -> AsyncIterator[Client]:
    """The administrator of the control plane with the dialect of the conformance runner."""
    async with client_of(other_plane.details.url, other_plane.details.token) as caller:
        yield caller


@pytest.fixture
def details(plane: DevProcess) -> DevDetails:
    return plane.details


@pytest.fixture(scope="session")
def peopled(plane: DevProcess) -> DevDetails:
    """The shared control plane with a resource of every kind that others refer to."""

    async def furnish() -> None:
        async with client_of(plane.details.url, plane.details.token) as caller:
            await prepare(caller)

    with ThreadPoolExecutor(1) as thread:  # with an event loop of its own
        thread.submit(lambda: asyncio.run(furnish())).result()
    return plane.details


@pytest.fixture
async def client(details: DevDetails) -> AsyncIterator[Client]:
    """The administrator of the tenant."""
    async with client_of(details.url, details.token) as caller:
        yield caller


@pytest.fixture
def workspace() -> str:
    """An unused name of a workspace; the workspace does not exist."""
    return f"w{next(_number)}"


@pytest.fixture
async def log(plane: DevProcess) -> AsyncIterator[JetStreamLog]:
    """The log of the control plane."""
    async with connected(plane.details.nats) as nats:
        yield opened_log(read(plane.folder / "config.json"), nats)
