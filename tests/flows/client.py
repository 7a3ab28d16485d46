"""HTTP client of the control plane for the flow tests, with the bodies that many of them send."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import msgspec
from multidict import CIMultiDictProxy
from yarl import URL

from secaplane.kinds import KINDS
from secaplane.model.shape import Json

OWN = ""
"""In place of a token: send the client's own. `None` sends no token."""
REACHED_S_MAX = 30.0
POLL_S = 0.02
JSON = "application/json"

SKU: Json = {"resource": "skus/seca.rd500"}
VOLUME: Json = {"labels": {"env": "demo"}, "spec": {"sizeGB": 10, "skuRef": SKU}}
READS: Json = {
    "permissions": [{"provider": "seca.storage/v1", "resources": ["images/*"], "verb": ["get"]}]
}
"""A role that allows reading images."""
INSTANCE: Json = {
    "spec": {
        "skuRef": {"resource": "skus/seca.dxs"},
        "zone": "a",
        "bootVolume": {"deviceRef": {"resource": "block-storages/disk"}},
    }
}


def at(kind: str, name: str = "", /, **ids: str) -> str:
    """The URL path of a resource, or of a collection if no name is given."""
    return KINDS[kind].url.format_map({"tenant": "demo"} | ids) + (f"/{name}" if name else "")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def state(self) -> str:
        state: str = self.json["status"]["state"]
        return state

    @property
    def history(self) -> list[str]:
        """The states of the conditions, newest first."""
        return [each["state"] for each in self.json["status"]["conditions"]]

    @property
    def names(self) -> list[str]:
        """The names of the items of a list."""
        return [item["metadata"]["name"] for item in self.json["items"]]


class Client:
    """One caller; each request may use another token instead. Paths are sent unchanged."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session, self._url, self._token = session, url, token

    def by(self, token: str | None) -> "Client":
        """A client of the same control plane with another caller's token."""
        return Client(self._session, self._url, token)

    def towards(self, url: str) -> "Client":
        """A client of another process with the same caller's token."""
        return Client(self._session, url, self._token)

    async def get(self, path: str, *, token: str | None = OWN, **headers: str) -> Answer:
        return await self.ask("GET", path, token=token, headers=headers)

    async def head(self, path: str, *, token: str | None = OWN, **headers: str) -> Answer:
        return await self.ask("HEAD", path, token=token, headers=headers)

    async def put(
        self, path: str, body: object, *, token: str | None = OWN, **headers: str
    ) -> Answer:
        data, headers = msgspec.json.encode(body), {"Content-Type": JSON} | headers
        return await self.ask("PUT", path, token=token, headers=headers, data=data)

    async def delete(self, path: str, *, token: str | None = OWN, **headers: str) -> Answer:
        return await self.ask("DELETE", path, token=token, headers=headers)

    async def post(self, path: str, *, token: str | None = OWN, **headers: str) -> Answer:
        return await self.ask("POST", path, token=token, headers=headers)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = OWN,
        headers: Mapping[str, str] | None = None,
        data: bytes | BytesIO | AsyncIterator[bytes] | None = None,
    ) -> Answer:
        """Send one request. Underscores in header names are sent as hyphens, so that headers can be
        keyword arguments."""
        sent = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        bearer = self._token if token == OWN else token
        if bearer is not None:
            sent.setdefault("Authorization", f"Bearer {bearer}")
        async with self._session.request(
            method,
            URL(self._url + path, encoded=True),
            headers=sent,
            data=data,
            skip_auto_headers=("Content-Type", "Accept"),
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    async def until(self, path: str, condition: Callable[[Answer], bool]) -> Answer:
        """GET again and again until the condition holds, for at most REACHED_S_MAX seconds."""
        answer = None
        try:
            async with asyncio.timeout(REACHED_S_MAX):
                while True:
                    answer = await self.get(path)
                    if condition(answer):
                        return answer
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            raise AssertionError(f"{path} is still {answer}") from error

    async def back(self) -> None:
        """Wait until the control plane accepts writes again after one of its processes died."""
        async with asyncio.timeout(REACHED_S_MAX):
            while True:
                await asyncio.sleep(POLL_S)
                with suppress(aiohttp.ClientError):
                    if (await self.put(at("workspace", "back"), {})).status in (200, 201):
                        return

    async def active(self, path: str) -> Answer:
        return await self.until(path, lambda answer: answer.status == 200 and at_rest(answer))

    async def gone(self, path: str) -> Answer:
        return await self.until(path, lambda answer: answer.status == 404)

    async def made(self, path: str, body: object) -> Answer:
        """PUT a resource, then GET until it is active."""
        answer = await self.put(path, body)
        assert answer.status in (200, 201), answer
        return await self.active(path)


def at_rest(answer: Answer) -> bool:
    state = answer.state
    assert state != "error", answer
    return state == "active"


@asynccontextmanager
async def client_of(url: str, token: str | None) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, url, token)
