"""The plugin of the simulated cloud: an HTTP client of its process."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from secaplane.model.position import Position
from secaplane.model.shape import PowerState, Resource
from secaplane.plugins import cloud_session
from secaplane.plugins.plugin import (
    Absent,
    Bound,
    CatalogueEntry,
    CloudUnavailable,
    Fence,
    FenceRejected,
    InProgress,
    InventoryItem,
    Observation,
    Observed,
    Outcome,
    Ready,
    TerminalError,
    ToObserve,
)
from secaplane.plugins.simulated.wire import (
    FENCE_HEADER,
    ActionRequest,
    Answer,
    CloudObject,
    DesiredObject,
    InProgressAnswer,
    ObservationAnswer,
    ObservationQuestion,
    ReadyAnswer,
    TerminalErrorAnswer,
)

REQUEST_S_MAX = 5.0
CONNECTIONS_MAX = 100

_encode = msgspec.json.Encoder().encode
_answer = msgspec.json.Decoder(Answer)
_thing = msgspec.json.Decoder(CloudObject)
_observations = msgspec.json.Decoder(list[ObservationAnswer])
_inventory = msgspec.json.Decoder(list[InventoryItem])
_catalogue = msgspec.json.Decoder(list[CatalogueEntry])


class SimulatedSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[cloud.settings]` of the simulated cloud."""

    url: str
    """Address of its process."""
    token: str
    """The token that it shares with its plugin."""
    ca: str = ""
    """File with the certificates of the authorities that sign its certificate; empty: those of the
    system."""


def from_settings(settings: Mapping[str, Any]) -> "SimulatedPlugin":
    """Raises ValueError where a setting is missing, unknown or wrong."""
    chosen = msgspec.convert(settings, SimulatedSettings, strict=False)
    if not chosen.token:
        raise ValueError("token is empty; it is that of the cloud's process (cloud.token)")
    return SimulatedPlugin(chosen.url, chosen.token, cloud_session.trusting(chosen.ca))


class SimulatedPlugin:
    """Besides FenceRejected it raises CloudUnavailable or TimeoutError for outages, and
    aiohttp.ClientError for other failures that may pass."""

    compares_fences = True
    request_s_max = REQUEST_S_MAX
    observes_at_once = 100
    lists_inventory = True

    def __init__(self, url: str, token: str, tls: ssl.SSLContext | None = None) -> None:
        self._url, self._tls = url.rstrip("/"), tls
        self._authorization = {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    async def ensure(self, resource: Resource, bound: Bound, fence: Fence) -> Outcome:
        desired = _desired(resource, bound, resource.power.desired)
        return _outcome(await self._request("PUT", _path(resource), fence, _encode(desired)))

    async def act(
        self, resource: Resource, bound: Bound, action: str, key: Position, fence: Fence
    ) -> Outcome:
        body = _encode(ActionRequest(action=action, desired=_desired(resource, bound)))
        path = f"{_path(resource)}/actions/{key.sequence}"
        return _outcome(await self._request("POST", path, fence, body))

    async def remove(self, resource: Resource, fence: Fence) -> Outcome:
        return _outcome(await self._request("DELETE", _path(resource), fence))

    async def observe(self, resource: Resource, fence: Fence) -> Observation:
        try:
            body = await self._request("GET", _path(resource), fence)
        except aiohttp.ClientResponseError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return Absent()
            raise
        return Observed(_thing.decode(body).status)

    async def observe_many(self, asked: Sequence[ToObserve]) -> Sequence[Observation | Exception]:
        questions = [ObservationQuestion(each.resource.uid, each.fence) for each in asked]
        body = await self._request("POST", "/observations", body=_encode(questions))
        return [_observation(each) for each in _observations.decode(body)]

    async def inventory(self) -> AsyncIterator[Sequence[InventoryItem]]:
        after = ""
        while page := _inventory.decode(await self._request("GET", f"/inventory/{after}")):
            yield page
            after = quote(page[-1].uid, safe="")

    async def catalogue(self) -> Sequence[CatalogueEntry]:
        return _catalogue.decode(await self._request("GET", "/catalogue"))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _request(
        self, method: str, path: str, fence: Fence | None = None, body: bytes | None = None
    ) -> bytes:
        url = URL(self._url + path, encoded=True)
        headers = {FENCE_HEADER: f"{fence.epoch}.{fence.number}"} if fence else None
        try:
            async with self._opened().request(method, url, data=body, headers=headers) as response:
                if response.status == HTTPStatus.PRECONDITION_FAILED:
                    raise FenceRejected(await response.text())
                if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise CloudUnavailable(f"the cloud answers {response.status}")
                response.raise_for_status()
                return await response.read()
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError) as error:
            raise CloudUnavailable(f"{type(error).__name__}: {error}") from error

    def _opened(self) -> aiohttp.ClientSession:
        """The session, created at the first request because it belongs to that event loop."""
        if self._session is None:
            self._session = cloud_session.opened(
                seconds=REQUEST_S_MAX,
                connections=CONNECTIONS_MAX,
                tls=self._tls,
                headers={"Content-Type": "application/json"} | self._authorization,
            )
        return self._session


def _path(resource: Resource) -> str:
    return f"/things/{quote(resource.uid, safe='')}"


def _desired(resource: Resource, bound: Bound, power: PowerState | None = None) -> DesiredObject:
    """Pointers begin with a slash, kinds do not."""
    uids = {place: other.uid for place, other in bound.items()}
    return DesiredObject(
        kind=resource.ref.kind,
        path=resource.ref.path,
        spec=resource.spec,
        power=power,
        targets={place: uid for place, uid in uids.items() if place.startswith("/")},
        parents={place: uid for place, uid in uids.items() if not place.startswith("/")},
    )


def _observation(answer: ObservationAnswer) -> Observation | Exception:
    if answer.rejected:
        return FenceRejected(answer.rejected)
    return Absent() if answer.status is None else Observed(answer.status)


def _outcome(body: bytes) -> Outcome:
    answer: Answer = _answer.decode(body)
    match answer:
        case ReadyAnswer(status):
            return Ready(status)
        case InProgressAnswer(requeue_after_s):
            return InProgress(requeue_after_s)
        case TerminalErrorAnswer(reason, message):
            return TerminalError(reason, message)
