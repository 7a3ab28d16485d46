"""Requests to an OpenStack cloud, here a small server in its place: tokens, addresses, refusals.
tests/openstack has the same on the real services."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from aiohttp import web

from secaplane.model.shape import Json
from secaplane.plugins.openstack import client as clients
from secaplane.plugins.openstack.client import (
    DOMAIN,
    Api,
    CallRefused,
    OpenStackClient,
    TokenScope,
    message_of,
)
from secaplane.plugins.openstack.settings import OpenStackSettings, password, read_settings
from secaplane.plugins.plugin import CloudUnavailable

PASSWORD = "not-for-logs"


@dataclass
class Cloud:
    """Keystone and one service; `tokens`: the scopes that tokens were given for."""

    lasts: timedelta = timedelta(hours=1)
    status: int = 200
    answer: Json = field(default_factory=dict)
    tokens: list[Json] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    pages: list[list[str]] = field(default_factory=list)
    """The ids of volumes on each page of a list, where it is given in pages."""
    queries: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    @asynccontextmanager
    async def served(self) -> AsyncIterator[OpenStackClient]:
        application = web.Application()
        application.router.add_post("/v3/auth/tokens", self._token)
        application.router.add_route("*", "/{rest:.*}", self._service)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        settings = OpenStackSettings(
            auth_url=f"{self.url}/v3",
            user="u",
            password_file="",
            domain="seca",
            catalogue="",
            region="two",
        )
        client = OpenStackClient(settings, PASSWORD, None)
        try:
            yield client
        finally:
            await client.close()
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        asked = (await request.json())["auth"]
        if asked["identity"]["password"]["user"]["password"] != PASSWORD:
            return web.json_response({"error": {"message": "no"}}, status=401)
        self.tokens.append(asked["scope"])
        endpoints = [
            {"interface": interface, "region_id": region, "url": f"{self.url}/{region}/{interface}"}
            for region in ("one", "two")
            for interface in ("admin", "public")
        ]
        token = {
            "expires_at": (datetime.now(UTC) + self.lasts).isoformat().replace("+00:00", "Z"),
            "user": {"id": "u1"},
            "domain": {"id": "d1"},
            "catalog": [{"type": "volumev3", "endpoints": endpoints}],
        }
        headers = {"X-Subject-Token": f"t{len(self.tokens)}"}
        return web.json_response({"token": token}, status=201, headers=headers)

    async def _service(self, request: web.Request) -> web.Response:
        token = request.headers["X-Auth-Token"]
        self.requests.append((request.method, request.path, dict(request.headers)))
        if token in self.revoked:
            return web.json_response({"error": {"message": "revoked"}}, status=401)
        if self.pages:
            return web.json_response(self._page(dict(request.query)))
        return web.json_response(self.answer, status=self.status)

    def _page(self, query: dict[str, str]) -> Json:
        self.queries.append(query)
        lasts = [ids[-1] for ids in self.pages]
        number = lasts.index(query["marker"]) + 1 if "marker" in query else 0
        answer: Json = {"volumes": [{"id": each} for each in self.pages[number]]}
        more = [{"rel": "next", "href": "elsewhere"}] if number + 1 < len(self.pages) else []
        return answer | ({"volumes_links": more} if more else {})


async def test_a_token_is_used_until_shortly_before_its_end() -> None:
    cloud = Cloud()
    async with cloud.served() as client:
        for _ in range(3):
            await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p1"))
        await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p2"))
        await client.token(DOMAIN)
    assert cloud.tokens == [
        {"project": {"id": "p1"}},
        {"project": {"id": "p2"}},
        {"domain": {"name": "seca"}},
    ]


async def test_a_token_that_ends_soon_is_renewed() -> None:
    cloud = Cloud(lasts=timedelta(seconds=clients.RENEWED_BEFORE_S - 1))
    async with cloud.served() as client:
        for _ in range(2):
            await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p1"))
    assert len(cloud.tokens) == 2


async def test_a_token_that_was_revoked_is_renewed_once() -> None:
    cloud = Cloud(revoked={"t1"})
    async with cloud.served() as client:
        await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p1"))
        assert len(cloud.tokens) == 2
        cloud.revoked = {f"t{n}" for n in range(9)}
        with pytest.raises(CallRefused) as refused:
            await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p1"))
    assert refused.value.status == 401
    assert len(cloud.tokens) == 3


async def test_the_address_is_that_of_the_region_the_interface_and_the_project() -> None:
    cloud = Cloud()
    async with cloud.served() as client:
        await client.request(Api.VOLUME, "GET", "/volumes", scope=TokenScope("p1"), version="3.42")
        with pytest.raises(CallRefused, match="the cloud has no service image"):
            await client.request(Api.IMAGE, "GET", "/images", scope=TokenScope("p1"))
    (method, path, headers), *others = cloud.requests
    assert (method, path, others) == ("GET", "/two/public/p1/volumes", [])
    assert headers["OpenStack-API-Version"] == "volume 3.42"


async def test_an_outage_is_none_of_a_resource() -> None:
    cloud = Cloud(status=503)
    async with cloud.served() as client:
        with pytest.raises(CloudUnavailable, match="block-storage answers 503"):
            await client.request(Api.VOLUME, "GET", "/x", scope=TokenScope("p1"))


async def test_a_server_that_is_away_is_an_outage() -> None:
    async with Cloud().served() as client:
        await client.token(DOMAIN)
        client._settings = msgspec.structs.replace(client._settings, auth_url="http://127.0.0.1:9")
        with pytest.raises(CloudUnavailable, match="identity: ClientConnectorError"):
            await client.token(TokenScope("p1"))


async def test_a_refusal_has_the_service_its_status_and_its_text() -> None:
    cloud = Cloud(status=413, answer={"overLimit": {"code": 413, "message": "Volume\nlimit"}})
    async with cloud.served() as client:
        with pytest.raises(CallRefused) as refused:
            await client.request(Api.VOLUME, "POST", "/x", scope=TokenScope("p1"), body={})
    assert str(refused.value) == "block-storage refused it (413): Volume limit"
    assert PASSWORD not in str(refused.value)


async def test_a_large_answer_is_read_to_its_end() -> None:
    """An answer of some megabytes arrives in many parts."""
    volumes = [{"id": str(number), "name": "x" * 1000} for number in range(3000)]
    cloud = Cloud(answer={"volumes": volumes})
    async with cloud.served() as client:
        read = await client.request(Api.VOLUME, "GET", "/volumes", scope=TokenScope("p1"))
    assert read == {"volumes": volumes}


async def test_an_answer_without_end_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "BODY_BYTES_MAX", 10_000)
    cloud = Cloud(answer={"volumes": ["x" * 20_000]})
    async with cloud.served() as client:
        with pytest.raises(CloudUnavailable, match="more than 10000 bytes"):
            await client.request(Api.VOLUME, "GET", "/volumes", scope=TokenScope("p1"))


async def test_a_list_is_read_page_by_page_whatever_size_the_service_gives() -> None:
    cloud = Cloud(pages=[["a", "b"], ["c"], ["d", "e"]])
    async with cloud.served() as client:
        listed = await client.listed(
            Api.VOLUME, "/volumes", "volumes", scope=TokenScope("p1"), query={"name": "n"}
        )
    assert [each["id"] for each in listed] == ["a", "b", "c", "d", "e"]
    assert cloud.queries == [
        {"name": "n"},
        {"name": "n", "marker": "b"},
        {"name": "n", "marker": "c"},
    ]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"error": {"code": 404, "message": "Keystone says"}}, "Keystone says"),
        ({"badRequest": {"code": 400, "message": "Nova  says"}}, "Nova says"),
        ({"NeutronError": {"type": "X", "message": "Neutron says", "detail": ""}}, "Neutron says"),
        ({"message": "Glance says"}, "Glance says"),
        ({}, "without a reason"),
        ({"error": "text"}, "without a reason"),
    ],
)
def test_the_text_of_a_refusal_is_found_in_the_form_of_each_service(
    answer: Json, text: str
) -> None:
    assert message_of(answer) == text


def settings(place: Path, **changed: str) -> OpenStackSettings:
    given = {
        "auth_url": "https://cloud.test/v3",
        "user": "u",
        "password_file": str(place / "password"),
        "domain": "seca",
        "catalogue": "offers.toml",
    }
    return read_settings(given | changed)


def test_the_password_is_in_a_file_of_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "password"
    with pytest.raises(ValueError, match="password_file: FileNotFoundError"):
        password(settings(tmp_path))
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="others than its owner"):
        password(settings(tmp_path))
    file.chmod(0o600)
    assert password(settings(tmp_path)) == PASSWORD


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"auth_url": "cloud.test"}, "auth_url is an address"),
        ({"poll_s": "0"}, "poll_s"),
        ({"pasword": "x"}, "pasword"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    tmp_path: Path, changed: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        settings(tmp_path, **changed)
