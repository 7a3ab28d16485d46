"""Rate and size limits: rates are off by default, and a request over a limit is refused."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.flows.client import Client, at, client_of
from tests.flows.dev_plane import DevProcess, configured
from tests.flows.problems import refused

SITE = """
[site]
refusals = "secatest"

[auth]
operators = ["sizes"]

[limits]
caller_per_second = 0.5
caller_burst = 60
tenant_per_second = 0.25
tenant_burst = 30
url_bytes_max = 2048
body_bytes_max = 4096
"""
REGIONS = "/providers/seca.region/v1/regions"


@pytest.fixture(scope="module")
def limited_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevProcess]:
    place = tmp_path_factory.mktemp("limited")
    with configured(place, SITE) as started:
        yield started


@pytest.fixture
async def limited(limited_plane: DevProcess) -> AsyncIterator[Client]:
    async with client_of(limited_plane.details.url, limited_plane.details.token) as caller:
        yield caller


async def test_no_rate_is_limited_by_default(client: Client) -> None:
    answers = [await client.get(REGIONS) for _ in range(200)]
    assert Counter(each.status for each in answers) == {200: 200}


@pytest.mark.parametrize(("bytes_over", "status"), [(0, 200), (1, 414)])
async def test_the_size_of_a_url_is_limited_by_default(
    client: Client, bytes_over: int, status: int
) -> None:
    path = f"{REGIONS}?unknown="
    answer = await client.get(path + "x" * (16 * 1024 - len(path) + 1 + bytes_over))
    if status == 414:
        assert refused(answer, 414) == []
    assert answer.status == status


async def test_size_limits_can_be_configured(limited: Client, limited_plane: DevProcess) -> None:
    own = limited.by(limited_plane.token("sizes"))
    assert refused(await own.get(f"{REGIONS}?unknown={'x' * 2048}"), 414) == []
    large = {"spec": {}, "annotations": {"a": "x" * 1000, "b": "x" * 1000, "c": "x" * 3000}}
    assert refused(await own.put(at("tenant", "large"), large), 413) == []


async def test_a_caller_over_the_rate_limit_gets_429_and_retry_after(
    limited: Client, limited_plane: DevProcess
) -> None:
    """Also in the dialect of the conformance runner."""
    hasty = limited.by(limited_plane.token("hasty"))
    answers = [await hasty.get(REGIONS) for _ in range(80)]
    late = next(each for each in answers if each.status == 429)
    assert refused(late, 429) == []
    assert int(late.headers["Retry-After"]) >= 1
    statuses = [each.status for each in answers]
    assert statuses[:60] == [200] * 60
    assert set(statuses[60:]) <= {200, 429}
    patient = limited.by(limited_plane.token("patient"))
    assert (await patient.get(REGIONS)).status == 200


async def test_the_rate_limit_of_a_tenant_is_not_consumed_by_strangers(
    limited: Client, limited_plane: DevProcess
) -> None:
    workspaces = at("workspace")
    for n in range(3):
        stranger = limited.by(limited_plane.token(f"stranger{n}"))
        answers = [await stranger.get(workspaces) for _ in range(15)]
        assert {each.status for each in answers} == {403}
    answers = [await limited.get(workspaces) for _ in range(45)]
    statuses = [each.status for each in answers]
    assert statuses[:30] == [200] * 30
    assert 429 in statuses[30:]
    late = next(each for each in answers if each.status == 429)
    assert int(late.headers["Retry-After"]) >= 1
