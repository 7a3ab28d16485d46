"""Requests to the services of an OpenStack cloud: tokens, addresses, and what refusals mean.

A token belongs to one scope: the domain, where projects are made, or one project, where resources
are made. It is asked for when it is first needed, and again before it expires.
"""

import asyncio
import ssl
import time
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple

import aiohttp
import msgspec

from secaplane.model.shape import Json
from secaplane.plugins import cloud_session
from secaplane.plugins.openstack.settings import OpenStackSettings
from secaplane.plugins.plugin import CloudUnavailable

REQUEST_S_MAX = 30.0
CONNECTIONS_MAX = 50
RENEWED_BEFORE_S = 120.0
"""A token is renewed so long before it expires."""
MESSAGE_LENGTH_MAX = 500
BODY_BYTES_MAX = 16 * 1024 * 1024
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict).decode


class Api(StrEnum):
    """The services, by their type in Keystone's catalogue."""

    IDENTITY = "identity"
    COMPUTE = "compute"
    VOLUME = "block-storage"
    IMAGE = "image"


FORMER_TYPES = {Api.VOLUME: ("volumev3",)}
"""Older names of a type, which clouds use still."""


class CallRefused(Exception):
    """A service has refused a request. A later one may be accepted."""

    def __init__(self, service: Api, status: int, message: str) -> None:
        super().__init__(f"{service} refused it ({status}): {message}")
        self.service, self.status, self.message = service, status, message

    @property
    def is_absent(self) -> bool:
        return self.status == HTTPStatus.NOT_FOUND


class TokenScope(NamedTuple):
    """The project that a token is for; the domain where it is empty."""

    project: str = ""


DOMAIN = TokenScope()


class Token(NamedTuple):
    text: str
    expires: float
    """Monotonic seconds."""
    addresses: Mapping[str, str]
    """By type of service."""
    user: str
    """The id of the user."""
    domain: str
    """The id of the domain; empty in a project's."""


class OpenStackClient:
    """Opens its connections at the first request."""

    def __init__(
        self, settings: OpenStackSettings, password: str, tls: ssl.SSLContext | None
    ) -> None:
        self._settings, self._password, self._tls = settings, password, tls
        self._session: aiohttp.ClientSession | None = None
        self._tokens: dict[TokenScope, Token] = {}
        self._locks: defaultdict[TokenScope, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def request(
        self,
        service: Api,
        method: str,
        path: str,
        *,
        scope: TokenScope = DOMAIN,
        body: Json | None = None,
        query: Mapping[str, str] | None = None,
        version: str = "",
    ) -> Json:
        """The body of an answer; empty where there is none. `version`: the microversion of the
        API that the request needs.

        Raises:
            CallRefused: the service answers 4xx.
            CloudUnavailable: the service does not answer, or answers 5xx.
        """
        token = await self.token(scope)
        try:
            return await self._answered(token, service, method, path, scope, body, query, version)
        except CallRefused as refused:
            if refused.status != HTTPStatus.UNAUTHORIZED:
                raise
        self._tokens.pop(scope, None)  # revoked: once more with another one
        token = await self.token(scope)
        return await self._answered(token, service, method, path, scope, body, query, version)

    async def listed(
        self,
        service: Api,
        path: str,
        of: str,
        *,
        scope: TokenScope = DOMAIN,
        query: Mapping[str, str] | None = None,
        version: str = "",
    ) -> list[Json]:
        """Every item of a list, also where the service gives it in pages. `of`: the name of the
        items in its answers. Raises as `request`."""
        items, asked = list[Json](), dict(query or {})
        while True:
            answer = await self.request(
                service, "GET", path, scope=scope, query=asked, version=version
            )
            page = answer[of]
            items += page
            if not page or not answer.get(f"{of}_links"):
                return items
            asked["marker"] = page[-1]["id"]

    async def token(self, scope: TokenScope) -> Token:
        """A valid token.

        Raises:
            CallRefused: Keystone gives none for this scope.
            CloudUnavailable: it does not answer.
        """
        async with self._locks[scope]:
            known = self._tokens.get(scope)
            if known is None or known.expires < time.monotonic():
                known = self._tokens[scope] = await self._authenticated(scope)
            return known

    def forget(self, scope: TokenScope) -> None:
        """The project is gone: its token is of no use."""
        self._tokens.pop(scope, None)
        self._locks.pop(scope, None)

    async def _authenticated(self, scope: TokenScope) -> Token:
        settings = self._settings
        who = {
            "name": settings.user,
            "domain": {"name": settings.user_domain},
            "password": self._password,
        }
        within: Json = {"domain": {"name": settings.domain}}
        if scope.project:
            within = {"project": {"id": scope.project}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": who}},
                "scope": within,
            }
        }
        url = f"{settings.auth_url.rstrip('/')}/auth/tokens"
        status, headers, answer = await self._sent(Api.IDENTITY, "POST", url, body, None, {})
        if status >= HTTPStatus.BAD_REQUEST:
            raise CallRefused(Api.IDENTITY, status, message_of(answer))
        return self._parsed(headers["X-Subject-Token"], answer["token"])

    def _parsed(self, text: str, token: Json) -> Token:
        left_s = datetime.fromisoformat(token["expires_at"]).timestamp() - time.time()
        return Token(
            text,
            time.monotonic() + left_s - RENEWED_BEFORE_S,
            {each["type"]: url for each in token["catalog"] if (url := self._address(each))},
            token["user"]["id"],
            token.get("domain", {}).get("id", ""),
        )

    def _address(self, service: Json) -> str:
        for each in service["endpoints"]:
            of_region = self._settings.region in ("", each["region_id"])
            if of_region and each["interface"] == self._settings.interface:
                return str(each["url"]).rstrip("/")
        return ""

    async def _answered(
        self,
        token: Token,
        service: Api,
        method: str,
        path: str,
        scope: TokenScope,
        body: Json | None,
        query: Mapping[str, str] | None,
        version: str,
    ) -> Json:
        headers = {"X-Auth-Token": token.text}
        if version:
            headers["OpenStack-API-Version"] = f"{_VERSIONED[service]} {version}"
        url = f"{self._base(token, service, scope)}{path}"
        status, _, answer = await self._sent(service, method, url, body, query, headers)
        if status >= HTTPStatus.BAD_REQUEST:
            raise CallRefused(service, status, message_of(answer))
        return answer

    def _base(self, token: Token, service: Api, scope: TokenScope) -> str:
        if service is Api.IDENTITY:
            return self._settings.auth_url.rstrip("/")
        for type_ in (service, *FORMER_TYPES.get(service, ())):
            url = token.addresses.get(type_)
            if url is not None:
                break
        else:
            raise CallRefused(service, HTTPStatus.NOT_FOUND, f"the cloud has no service {service}")
        if service is Api.VOLUME and not url.endswith(scope.project):
            url = f"{url}/{scope.project}"
        if service is Api.IMAGE and not url.endswith("/v2"):
            url = f"{url}/v2"
        return url

    async def _sent(
        self,
        service: Api,
        method: str,
        url: str,
        body: Json | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> tuple[int, Mapping[str, str], Json]:
        data = None if body is None else _encode(body)
        try:
            async with self._opened().request(
                method, url, data=data, params=query, headers=headers, allow_redirects=False
            ) as answer:
                read = await _read(service, answer.content)
                if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise CloudUnavailable(f"{service} answers {answer.status}")
                return answer.status, answer.headers, _json(read)
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as error:
            raise CloudUnavailable(f"{service}: {type(error).__name__}") from error

    def _opened(self) -> aiohttp.ClientSession:
        """The session, created at the first request because it belongs to that event loop."""
        if self._session is None:
            self._session = cloud_session.opened(
                seconds=REQUEST_S_MAX,
                connections=CONNECTIONS_MAX,
                tls=self._tls,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
            )
        return self._session


async def _read(service: Api, content: aiohttp.StreamReader) -> bytes:
    """Raises CloudUnavailable where there is more than BODY_BYTES_MAX."""
    read = bytearray()
    async for part in content.iter_any():
        read += part
        if len(read) > BODY_BYTES_MAX:
            raise CloudUnavailable(f"{service} answers with more than {BODY_BYTES_MAX} bytes")
    return bytes(read)


_VERSIONED = {Api.VOLUME: "volume", Api.COMPUTE: "compute"}


def message_of(answer: Json) -> str:
    """The text of a refusal: each service has its own form around it."""
    for each in (answer, *answer.values()):
        text = each.get("message") if isinstance(each, dict) else None
        if isinstance(text, str):
            return " ".join(text.split())[:MESSAGE_LENGTH_MAX]
    return "without a reason"


def _json(data: bytes) -> Json:
    """Of an answer that is no JSON object, such as a proxy's, only the status counts."""
    try:
        decoded: Json = _decode(data)
        return decoded
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
