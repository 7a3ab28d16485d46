"""Issuers whose keys are fetched over HTTP: a real OpenID provider that is killed and restarted
with a new key, and a scripted one that misbehaves in every way."""

from collections.abc import AsyncIterator, Iterator

import pytest

from secaplane.policy.tokens.fetch import BYTES_MAX
from tests.flows.client import Answer, Client, at, client_of
from tests.flows.dev_plane import DevProcess, configured
from tests.flows.problems import refused
from tests.flows.provider import (
    OpenIdProvider,
    ScriptedProvider,
    open_id_provider,
    scripted_provider,
)
from tests.rules.tokens import EC, EC_OTHER, signed

SCRIPTED = "https://scripted.example.org"
SITE = """
[auth]
keys_refresh_seconds = 3600
keys_stale_seconds = 7200

[[auth.issuers]]
issuer = "{oidc}"
audience = "seca"
prefix = "oidc|"

[[auth.issuers]]
issuer = "{scripted}"
keys = "{url}"
prefix = "scripted|"
any_audience = true
"""


@pytest.fixture(scope="module")
def oidc() -> Iterator[OpenIdProvider]:
    with open_id_provider("seca") as provider:
        yield provider


@pytest.fixture(scope="module")
def scripted() -> Iterator[ScriptedProvider]:
    with scripted_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def trusting(
    oidc: OpenIdProvider, scripted: ScriptedProvider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DevProcess]:
    place = tmp_path_factory.mktemp("trusting")
    scripted.misbehave(b"<html>We are moving</html>")
    with configured(
        place, SITE.format(oidc=oidc.url, scripted=SCRIPTED, url=scripted.url)
    ) as started:
        yield started


@pytest.fixture
async def admin(trusting: DevProcess) -> AsyncIterator[Client]:
    async with client_of(trusting.details.url, trusting.details.token) as caller:
        yield caller


REGIONS = at("region")


def scripted_token(kid: str = "ec", key: object = EC) -> str:
    return signed(key, kid, iss=SCRIPTED)


# --- an issuer whose keys are not available


async def test_without_an_issuers_keys_its_tokens_are_answered_503_and_readyz_fails(
    admin: Client, scripted: ScriptedProvider
) -> None:
    for body, status in (
        (b"<html>We are moving</html>", 200),
        (b" " * (BYTES_MAX + 1), 200),
        (b"", 302),
    ):
        scripted.misbehave(body, status)
        before = scripted.requests
        while scripted.requests == before:
            answer = await admin.get(REGIONS, token=scripted_token())
            assert refused(answer, 503) == []
            assert answer.headers["Retry-After"]
    ready = await admin.get("/readyz", token=None)
    assert ready.status == 503
    assert f"the keys of {SCRIPTED} have never been fetched" in ready.json["reasons"]
    assert (await admin.get(REGIONS)).status == 200, "tokens of other issuers are not affected"
    metrics = (await admin.get("/metrics", token=None)).body.decode()
    assert f'secaplane_issuer_keys_age_seconds{{issuer="{SCRIPTED}"}} +Inf' in metrics
    scripted.show(ec=EC)
    assert (await admin.until("/readyz", lambda answer: answer.status == 200)).json["ready"]


@pytest.fixture
async def known(admin: Client, scripted: ScriptedProvider) -> AsyncIterator[Client]:
    """The administrator, once the keys of the scripted issuer have been fetched."""
    scripted.show(ec=EC)

    async def accepted() -> Answer:
        return await admin.get(REGIONS, token=scripted_token())

    while (await accepted()).status == 503:
        pass
    yield admin
    scripted.show(ec=EC)


async def test_a_metric_counts_failed_fetches_of_keys(known: Client) -> None:
    metrics = (await known.get("/metrics", token=None)).body.decode()
    (line,) = (
        each for each in metrics.splitlines() if "fetch_failures_total" in each and SCRIPTED in each
    )
    assert float(line.split()[-1]) >= 1


async def test_fetched_keys_stay_valid_while_their_issuer_misbehaves(
    known: Client, scripted: ScriptedProvider
) -> None:
    for body, status, takes_s in (
        (b"{", 200, 0.0),
        (b" " * (BYTES_MAX + 1), 200, 0.0),
        (b"", 302, 0.0),
        (b"", 503, 0.0),
        (b"", 200, 60.0),
    ):
        scripted.misbehave(body, status, takes_s)
        assert refused(await known.get(REGIONS, token=scripted_token("unknown")), 401) == []
        assert (await known.get(REGIONS, token=scripted_token())).status == 200
    ready = await known.get("/readyz", token=None)
    assert ready.status == 200
    assert any(SCRIPTED in remark for remark in ready.json["remarks"])


async def test_a_new_key_is_fetched_for_its_first_token(
    known: Client, scripted: ScriptedProvider
) -> None:
    scripted.show(ec=EC, takes_s=1.0, next=EC_OTHER)
    assert (await known.get(REGIONS, token=scripted_token("next", EC_OTHER))).status == 200


async def test_a_key_is_valid_only_for_its_own_issuer(
    known: Client, scripted: ScriptedProvider, oidc: OpenIdProvider, trusting: DevProcess
) -> None:
    """Also if two issuers use the same kid."""
    scripted.show(ec=EC, also={"dev-1": EC_OTHER})
    assert (await known.get(REGIONS, token=scripted_token("dev-1", EC_OTHER))).status == 200
    for token in (
        signed(EC_OTHER, "dev-1", iss="https://secaplane.dev"),
        signed(EC, "ec", iss="https://secaplane.dev"),
        signed(EC, "ec", iss=oidc.url, aud="seca"),
        signed(EC, "ec", iss=f"{SCRIPTED}/"),
    ):
        assert refused(await known.get(REGIONS, token=token), 401) == []


# --- a real provider


async def test_a_token_of_a_real_provider_identifies_its_caller(
    known: Client, oidc: OpenIdProvider, workspace: str
) -> None:
    token = await oidc.token("jane")
    assert (await known.get(REGIONS, token=token)).status == 200
    assert refused(await known.get(at("image"), token=token), 403) == []
    assignment = {"subs": ["oidc|jane"], "roles": ["seca.workspace-viewer"], "scopes": [{}]}
    made = await known.put(at("role-assignment", f"{workspace}-jane"), {"spec": assignment})
    assert made.status == 201
    assert (await known.get(at("image"), token=token)).status == 200


async def test_a_token_for_another_client_of_the_provider_is_refused(
    known: Client, oidc: OpenIdProvider
) -> None:
    other = OpenIdProvider("another-client", oidc.port)
    assert refused(await known.get(REGIONS, token=await other.token("jane")), 401) == []


async def test_tokens_stay_valid_while_their_provider_is_down_until_it_restarts_with_a_new_key(
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
