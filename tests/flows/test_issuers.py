"""Issuers whose keys come over the wire: a real OpenID provider that rotates, dies and comes back,
and one that misbehaves in every way."""

from collections.abc import AsyncIterator, Iterator

import pytest

from secaplane.policy.tokens.fetch import BYTES_MAX
from tests.flows.client import Answer, Client, at, client_of
from tests.flows.dev_house import DevHouse, configured
from tests.flows.problems import refused
from tests.flows.provider import OpenIdProvider, ToldProvider, open_id_provider, told_provider
from tests.rules.tokens import EC, EC_OTHER, signed

TOLD = "https://told.example.org"
SITE = """
[auth]
keys_refresh_seconds = 3600
keys_stale_seconds = 7200

[[auth.issuers]]
issuer = "{oidc}"
audience = "seca"
prefix = "oidc|"

[[auth.issuers]]
issuer = "{told}"
keys = "{url}"
prefix = "told|"
"""


@pytest.fixture(scope="module")
def oidc() -> Iterator[OpenIdProvider]:
    with open_id_provider("seca") as made:
        yield made


@pytest.fixture(scope="module")
def told() -> Iterator[ToldProvider]:
    with told_provider() as made:
        yield made


@pytest.fixture(scope="module")
def trusting(
    oidc: OpenIdProvider, told: ToldProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DevHouse]:
    place = tmp_path_factory.mktemp("trusting")
    told.misbehave(b"<html>We are moving</html>")
    with configured(place, SITE.format(oidc=oidc.url, told=TOLD, url=told.url)) as started:
        yield started


@pytest.fixture
async def admin(trusting: DevHouse) -> AsyncIterator[Client]:
    async with client_of(trusting.said.url, trusting.said.token) as caller:
        yield caller


REGIONS = at("region")


def of_told(kid: str = "ec", key: object = EC) -> str:
    return signed(key, kid, iss=TOLD)


# --- an issuer whose keys are not had


async def test_without_an_issuers_keys_nobody_knows_and_the_process_is_not_ready(
    admin: Client, told: ToldProvider
) -> None:
    for body, status in (
        (b"<html>We are moving</html>", 200),
        (b" " * (BYTES_MAX + 1), 200),
        (b"", 302),
    ):
        told.misbehave(body, status)
        before = told.asked
        while told.asked == before:
            answer = await admin.get(REGIONS, token=of_told())
            assert refused(answer, 503) == []
            assert answer.headers["Retry-After"]
    ready = await admin.get("/readyz", token=None)
    assert ready.status == 503
    assert f"the keys of {TOLD} have never been fetched" in ready.json["reasons"]
    assert (await admin.get(REGIONS)).status == 200, "others do not notice"
    metrics = (await admin.get("/metrics", token=None)).body.decode()
    assert f'secaplane_issuer_keys_age_seconds{{issuer="{TOLD}"}} +Inf' in metrics
    told.show(ec=EC)
    assert (await admin.until("/readyz", lambda answer: answer.status == 200)).json["ready"]


@pytest.fixture
async def known(admin: Client, told: ToldProvider) -> AsyncIterator[Client]:
    """The administrator, once the told issuer's keys have been had."""
    told.show(ec=EC)

    async def believed() -> Answer:
        return await admin.get(REGIONS, token=of_told())

    while (await believed()).status == 503:
        pass
    yield admin
    told.show(ec=EC)


async def test_the_figures_say_how_often_keys_could_not_be_had(known: Client) -> None:
    metrics = (await known.get("/metrics", token=None)).body.decode()
    (line,) = (
        each for each in metrics.splitlines() if "fetch_failures_total" in each and TOLD in each
    )
    assert float(line.split()[-1]) >= 1


async def test_while_an_issuer_misbehaves_its_keys_stay(known: Client, told: ToldProvider) -> None:
    for body, status, takes_s in (
        (b"{", 200, 0.0),
        (b" " * (BYTES_MAX + 1), 200, 0.0),
        (b"", 302, 0.0),
        (b"", 503, 0.0),
        (b"", 200, 60.0),
    ):
        told.misbehave(body, status, takes_s)
        assert refused(await known.get(REGIONS, token=of_told("unknown")), 401) == []
        assert (await known.get(REGIONS, token=of_told())).status == 200
    ready = await known.get("/readyz", token=None)
    assert ready.status == 200
    assert any(TOLD in remark for remark in ready.json["remarks"])


async def test_a_new_key_is_believed_at_its_first_token(known: Client, told: ToldProvider) -> None:
    told.show(ec=EC, takes_s=1.0, next=EC_OTHER)
    assert (await known.get(REGIONS, token=of_told("next", EC_OTHER))).status == 200


async def test_one_issuers_key_is_not_anothers(
    known: Client, told: ToldProvider, oidc: OpenIdProvider, trusting: DevHouse
) -> None:
    """Of the same kid, too."""
    told.show(ec=EC, also={"dev-1": EC_OTHER})
    assert (await known.get(REGIONS, token=of_told("dev-1", EC_OTHER))).status == 200
    for token in (
        signed(EC_OTHER, "dev-1", iss="https://secaplane.dev"),
        signed(EC, "ec", iss="https://secaplane.dev"),
        signed(EC, "ec", iss=oidc.url, aud="seca"),
        signed(EC, "ec", iss=f"{TOLD}/"),
    ):
        assert refused(await known.get(REGIONS, token=token), 401) == []


# --- a real provider


async def test_a_real_providers_token_names_its_caller(
    known: Client, oidc: OpenIdProvider, workspace: str
) -> None:
    token = await oidc.token("jane")
    assert (await known.get(REGIONS, token=token)).status == 200
    assert refused(await known.get(at("image"), token=token), 403) == []
    given = {"subs": ["oidc|jane"], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
    made = await known.put(at("role-assignment", f"{workspace}-jane"), {"spec": given})
    assert made.status == 201
    assert (await known.get(at("image"), token=token)).status == 200


async def test_a_token_for_another_client_of_the_provider_is_refused(
    known: Client, oidc: OpenIdProvider
) -> None:
    other = OpenIdProvider("somebody-else", oidc.port)
    assert refused(await known.get(REGIONS, token=await other.token("jane")), 401) == []


async def test_a_provider_that_dies_is_not_missed_and_its_new_key_is_believed_at_once(
    known: Client, oidc: OpenIdProvider
) -> None:
    former = await oidc.token("jane")
    assert (await known.get(REGIONS, token=former)).status == 200
    oidc.kill()
    later = [former, former[:-8] + "AAAAAAAA", former]
    statuses = [(await known.get(REGIONS, token=each)).status for each in later]
    assert statuses == [200, 401, 200]
    oidc.start()
    token = await oidc.token("jane")
    assert (await known.get(REGIONS, token=token)).status == 200
    assert refused(await known.get(REGIONS, token=former), 401) == []
